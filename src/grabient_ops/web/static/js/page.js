// Small comforts; every page works without them.
(() => {
  const UNITS = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60]];
  const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "narrow" });

  function word(time) {
    const seconds = (Date.parse(time.dateTime) - Date.now()) / 1000;
    const [unit, length] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
    const text = unit === "second" && Math.abs(seconds) < 10 ? "now" : relative.format(Math.round(seconds / length), unit);
    if (time.textContent !== text) time.textContent = text;
  }

  function wordAll(root = document) {
    root.querySelectorAll?.("time[datetime]").forEach(word);
  }

  wordAll();
  setInterval(wordAll, 10000);
  document.addEventListener("htmx:after:swap", () => wordAll());

  // The theme: what the system says, or the other one.
  document.querySelector(".theme")?.addEventListener("submit", (event) => {
    event.preventDefault();
    const root = document.documentElement;
    const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = isDark ? "light" : "dark";
    document.cookie = `theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=lax`;
  });

  // Copying: <button data-copy="#id-of-the-text">.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("[data-copy]");
    if (!button) return;
    const before = button.textContent;
    await navigator.clipboard.writeText(document.querySelector(button.dataset.copy)?.textContent ?? "");
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = before; }, 1500);
  });

  // Notices go by themselves, errors stay until they are dismissed.
  document.addEventListener("htmx:after:swap", () => {
    for (const notice of document.querySelectorAll("#notices .notice:not(.bad, [data-timed])")) {
      notice.dataset.timed = "";
      setTimeout(() => notice.remove(), 6000);
    }
  });
  document.addEventListener("click", (event) => {
    event.target.closest?.("[data-dismiss]")?.closest(".notice")?.remove();
  });
})();
