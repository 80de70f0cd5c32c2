/* Runs before the first paint, so that a chosen appearance never flashes the other one. */
(() => {
  try {
    const theme = localStorage.getItem('baton.theme');
    if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
  } catch { /* storage may be off; the system's appearance is used */ }
})();
