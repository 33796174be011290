"use strict";
// The evidence browser, the mark of the current section, and details that open to be printed. Without it all is shown.
(() => {
  const root = document.getElementById("pairs");
  if (root) browse(root);
  markCurrent();
  openToPrint();

  function browse(root) {
    const form = root.querySelector("form");
    const links = [...root.querySelectorAll(".pairs a")];
    const articles = links.map((link) => document.getElementById(link.hash.slice(1)));
    const output = form.querySelector("output");
    const none = root.querySelector(".none");
    let chosen = -1;

    root.classList.add("browsing");
    form.hidden = false;
    for (const steps of root.querySelectorAll(".steps")) steps.hidden = false;

    const isIn = (index) => !links[index].parentElement.classList.contains("out");

    function show(index, focus) {
      if (chosen >= 0) {
        links[chosen].removeAttribute("aria-current");
        links[chosen].tabIndex = -1;
        articles[chosen].classList.remove("shown");
      }
      chosen = index;
      none.hidden = index >= 0;
      if (index < 0) return;
      links[index].setAttribute("aria-current", "true");
      links[index].tabIndex = 0;
      articles[index].classList.add("shown");
      const list = links[index].closest("ol");
      const row = links[index].parentElement;
      if (row.offsetTop < list.scrollTop + list.offsetTop) list.scrollTop = row.offsetTop - list.offsetTop;
      const beyond = row.offsetTop + row.offsetHeight - list.offsetTop - list.clientHeight;
      if (beyond > list.scrollTop) list.scrollTop = beyond;
      if (focus) links[index].focus({ preventScroll: true });
      for (const button of articles[index].querySelectorAll("[data-step]"))
        button.disabled = next(index, Number(button.dataset.step)) < 0;
    }

    function next(from, step) {
      let index = from + step;
      while (index >= 0 && index < links.length && !isIn(index)) index += step;
      return index >= 0 && index < links.length ? index : -1;
    }

    function filter() {
      const want = new FormData(form);
      const number = (name, otherwise) => {
        const given = parseFloat(want.get(name));
        return Number.isNaN(given) ? otherwise : given;
      };
      const from = number("from", 0);
      const to = number("to", 1);
      const size = number("size", 2);
      let left = 0;
      links.forEach((link, index) => {
        const facts = link.dataset;
        const fits =
          ["source", "survivor", "match", "scope"].every((name) => !want.get(name) || want.get(name) === facts[name]) &&
          Number(facts.jaccard) >= from - 1e-9 &&
          Number(facts.jaccard) <= to + 1e-9 &&
          Number(facts.size) >= size;
        link.parentElement.classList.toggle("out", !fits);
        articles[index].classList.toggle("filtered", !fits);
        left += fits;
      });
      output.textContent =
        from > to
          ? `no pair: the similarity goes from ${from} down to ${to}; exchange the two`
          : `${left} of ${links.length} pairs`;
      show(chosen >= 0 && isIn(chosen) ? chosen : next(-1, 1), false);
    }

    for (const link of links) link.tabIndex = -1;
    form.addEventListener("input", filter);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(filter));
    root.addEventListener("click", (event) => {
      const link = event.target.closest(".pairs a");
      if (link) {
        event.preventDefault();
        show(links.indexOf(link), true);
      }
      const button = event.target.closest("[data-step]");
      if (button) {
        const to = next(chosen, Number(button.dataset.step));
        if (to >= 0) {
          show(to, false);
          const twin = articles[to].querySelector(`[data-step="${button.dataset.step}"]`);
          (twin.disabled ? articles[to] : twin).focus({ preventScroll: true });
        }
      }
    });
    root.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("form")) return;
      const inList = Boolean(event.target.closest(".pairs"));
      const steps = { j: 1, k: -1, ...(inList ? { ArrowDown: 1, ArrowUp: -1 } : {}) };
      let to = -1;
      if (event.key in steps) to = next(chosen, steps[event.key]);
      else if (inList && event.key === "Home") to = next(-1, 1);
      else if (inList && event.key === "End") to = next(links.length, -1);
      else return;
      event.preventDefault();
      if (to >= 0) show(to, true);
    });
    const asked = links.findIndex((link) => link.hash === location.hash);
    filter();
    if (asked >= 0) show(asked, false);
  }

  function markCurrent() {
    const links = new Map([...document.querySelectorAll(".toc a")].map((link) => [link.hash.slice(1), link]));
    const seen = new Set();
    const watcher = new IntersectionObserver(
      (entries) => {
        for (const entry of entries) entry.isIntersecting ? seen.add(entry.target.id) : seen.delete(entry.target.id);
        const first = [...links.keys()].find((id) => seen.has(id));
        for (const [id, link] of links) id === first ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current");
      },
      { rootMargin: "-15% 0px -60% 0px" },
    );
    for (const section of document.querySelectorAll("main section")) watcher.observe(section);
  }

  function openToPrint() {
    let closed = [];
    addEventListener("beforeprint", () => {
      closed = [...document.querySelectorAll("details:not([open])")];
      for (const one of closed) one.open = true;
    });
    addEventListener("afterprint", () => closed.forEach((one) => (one.open = false)));
  }
})();
