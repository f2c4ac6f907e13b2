"use strict";
// Only a path of this site: "//host" and "/\host" would lead elsewhere.
const wanted = new URL(new URLSearchParams(location.search).get("next") || "/", location.origin);
const next = wanted.origin === location.origin ? wanted.pathname : "/";
const service = document.getElementById("service");
if (service) service.href += "?next=" + encodeURIComponent(next);
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
      location.replace(next);
      return;
    }
    problem.textContent = (await answer.json()).detail;
  } catch {
    problem.textContent = "Tapetum does not answer. Check the connection and try again.";
  }
  button.disabled = false;
  form.password.select();
});
