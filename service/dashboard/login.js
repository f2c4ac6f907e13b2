"use strict";
const form = document.getElementById("login");
const problem = document.getElementById("error");
form.addEventListener("submit", async event => {
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
      // Only a path of this site: "//host" and "/\host" would lead elsewhere.
      const next = new URLSearchParams(location.search).get("next") || "/";
      const target = new URL(next, location.origin);
      location.replace(target.origin === location.origin ? target.pathname : "/");
      return;
    }
    problem.textContent = (await answer.json()).detail;
  } catch {
    problem.textContent = "Tapetum does not answer. Check the connection and try again.";
  }
  button.disabled = false;
  form.password.select();
});
