"use strict";
/* Marks the section that is being read in the page's navigation. */
(() => {
  const links = new Map([...document.querySelectorAll(".ways a")].map((link) => [link.hash.slice(1), link]));
  const sections = [...document.querySelectorAll("main section[id]")].filter(({ id }) => links.has(id));
  const mark = () => {
    const read = sections.filter((section) => section.getBoundingClientRect().top < 120).pop() ?? sections[0];
    for (const [id, link] of links) {
      if (id !== read?.id) link.removeAttribute("aria-current");
      else if (!link.hasAttribute("aria-current")) {
        link.setAttribute("aria-current", "true");
        const list = link.closest("ul");
        list.scrollTo({ left: link.offsetLeft - list.clientWidth / 2 });
      }
    }
  };
  let isDue = false;
  addEventListener("scroll", () => {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => { isDue = false; mark(); });
  }, { passive: true });
  mark();
})();
