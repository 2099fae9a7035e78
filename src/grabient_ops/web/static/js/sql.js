// The console's comforts: Ctrl-Enter, examples without leaving the page, a history in this browser.
(() => {
  const KEY = "sql-history";
  const MOST = 50;
  const form = document.getElementById("console");
  const text = document.getElementById("sql");
  const box = document.getElementById("history");
  const list = document.getElementById("history-list");

  function write(sql) {
    text.value = sql;
    text.focus();
  }

  function recall() {
    try {
      const kept = JSON.parse(localStorage.getItem(KEY) ?? "[]");
      return Array.isArray(kept) ? kept.filter((one) => typeof one === "string") : [];
    } catch {
      return [];
    }
  }

  function keep(history) {
    try {
      localStorage.setItem(KEY, JSON.stringify(history));
    } catch {
      // Without storage there is no history; the console works.
    }
    show(history);
  }

  function show(history) {
    box.hidden = history.length === 0;
    list.replaceChildren(...history.map((sql) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.className = "plain";
      button.type = "button";
      button.textContent = sql.replaceAll(/\s+/g, " ");
      button.title = sql;
      button.addEventListener("click", () => write(sql));
      item.append(button);
      return item;
    }));
  }

  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  form.addEventListener("submit", () => {
    const sql = text.value.trim();
    keep([sql, ...recall().filter((one) => one !== sql)].slice(0, MOST));
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("[data-sql]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    write(link.dataset.sql);
  });
  document.getElementById("history-clear").addEventListener("click", () => keep([]));
  show(recall());
})();
