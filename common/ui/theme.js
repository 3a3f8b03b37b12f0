// Classic script in <head>: sets the chosen color scheme before anything is painted. Only the choice is stored.
(() => {
  const chosen = localStorage.getItem("theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
// A module that cannot be loaded, as when a laptop changes its network, leaves a page that does nothing: here it says so.
addEventListener("error", ({ target }) => {
  if (target instanceof HTMLScriptElement) document.getElementById("not-loaded").hidden = false;
}, true);
