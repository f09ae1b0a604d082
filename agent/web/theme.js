// Runs before the first paint: as this browser's person chose, else as the system is set.
(() => {
  let kept = null;
  try {
    kept = localStorage.getItem('causeway-site-theme');
  } catch {
    // storage is switched off: as the system is set
  }
  if (kept === 'light' || kept === 'dark') document.documentElement.dataset.theme = kept;
})();
