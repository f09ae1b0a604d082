// Runs before the first paint: dark unless this browser's reader asked for light.
(() => {
  let kept = null;
  try {
    kept = localStorage.getItem('causeway-theme');
  } catch {
    // storage is switched off: dark
  }
  document.documentElement.dataset.theme = kept === 'light' ? 'light' : 'dark';
})();
