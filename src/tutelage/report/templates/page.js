"use strict";
// The page is whole without this: it adds a search over the answers, filters, and buttons that copy.
(() => {
  const bar = document.getElementById("filters");
  if (bar) {
    const search = document.getElementById("search");
    const found = document.getElementById("found");
    const buttons = [...bar.querySelectorAll("button")];
    const sets = [...document.querySelectorAll("details.dataset")];
    const items = [...document.querySelectorAll("article.example")].map((node) => ({
      node,
      groups: (node.dataset.groups || "").split(" "),
      text: node.textContent.toLowerCase(),
    }));
    const opened = sets.map((set) => set.open);
    let group = "";

    const apply = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const narrowed = group !== "" || words.length > 0;
      let shown = 0;
      for (const item of items) {
        const fits =
          (group === "" || item.groups.includes(group)) && words.every((word) => item.text.includes(word));
        item.node.hidden = !fits;
        shown += fits;
      }
      for (const part of document.querySelectorAll(".dataset .group")) {
        part.classList.toggle("emptied", narrowed && !part.querySelector("article:not([hidden])"));
      }
      sets.forEach((set, at) => {
        const has = set.querySelector("article:not([hidden])") !== null;
        set.classList.toggle("emptied", narrowed && !has);
        set.open = narrowed ? has : opened[at];
      });
      found.textContent = narrowed ? `${shown} of ${items.length} answers` : "";
    };

    for (const button of buttons) {
      button.addEventListener("click", () => {
        group = button.dataset.show;
        for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
        apply();
      });
      const key = button.dataset.show;
      button.disabled = key !== "" && !items.some((item) => item.groups.includes(key));
    }
    search.addEventListener("input", apply);
    bar.hidden = false;
  }

  for (const pre of document.querySelectorAll(".code pre")) {
    if (!navigator.clipboard) break;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(pre.textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    pre.before(button);
  }

  // One sheet is printed, or the whole page where its box is ticked.
  const closed = [];
  addEventListener("beforeprint", () => {
    if (!document.getElementById("print-all").checked) return;
    for (const one of document.querySelectorAll("details:not([open])")) {
      closed.push(one);
      one.open = true;
    }
  });
  addEventListener("afterprint", () => { for (const one of closed.splice(0)) one.open = false; });
})();
