"use strict";
// Light or dark as on the pages; before anything is drawn, so that nobody is dazzled for a moment.
try {
  const kept = localStorage.getItem("tapetum-theme");
  if (kept === "light" || kept === "dark") document.documentElement.dataset.theme = kept;
} catch {
  // Storage can be forbidden; then it is as the system likes it.
}

// Where somebody wanted to go, with its question, on this site only: "//host", "/\host" and "javascript:" are not.
function wanted() {
  try {
    const url = new URL(new URLSearchParams(location.search).get("next") || "/", location.origin);
    if (url.origin === location.origin && !/^\/+(login|api)(\/|$)/.test(url.pathname)) return url;
  } catch {
    // It is no address at all.
  }
  return new URL("/", location.origin);
}

addEventListener("DOMContentLoaded", () => {
  const next = wanted();
  const service = document.getElementById("service");
  if (service) service.href += "?next=" + encodeURIComponent(next.pathname + next.search);
  const form = document.getElementById("login");
  const problem = document.getElementById("error");
  if (form) form.addEventListener("submit", async event => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    problem.textContent = "";
    try {
      const answer = await fetch(form.action, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ account: form.account.value, password: form.password.value }),
      });
      if (answer.ok) {
        location.replace(next.href); // whole: of "/.//host" a path alone would be "//host"
        return;
      }
      problem.textContent = (await answer.json()).detail;
    } catch {
      problem.textContent = "Tapetum does not answer. Check the connection and try again.";
    }
    button.disabled = false;
    form.password.select();
  });
});
