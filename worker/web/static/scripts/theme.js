// Theme: light or dark, as chosen before, set before anything is drawn. Not a module, so that it runs at once.
try {
  const chosen = localStorage.getItem("penstock-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // A browser that keeps nothing follows its system.
}
