// "All of these": one tick for all that can be ticked in a group; it shows what the group is.
(() => {
  const masters = [...document.querySelectorAll("input[data-all]")];
  const members = (master) => [...document.querySelectorAll(`${master.dataset.all} input[name]:not(:disabled)`)];

  function show() {
    for (const master of masters) {
      const ticked = members(master).filter((box) => box.checked).length;
      master.checked = ticked > 0 && ticked === members(master).length;
      master.indeterminate = ticked > 0 && !master.checked;
    }
  }

  for (const master of masters) {
    master.disabled = members(master).length === 0;
    master.closest("label").hidden = false;
    master.addEventListener("input", () => {
      for (const box of members(master)) box.checked = master.checked;
    });
  }
  document.addEventListener("input", show);
  window.addEventListener("pageshow", show);
  show();
})();
