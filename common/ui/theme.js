// Classic script in <head>: sets the chosen color scheme before anything is painted. Only the choice is stored.
(() => {
  const chosen = localStorage.getItem("theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
