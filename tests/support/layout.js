/* What is wrong with how a page lies at the size that its window has: a list of sentences. Text that ends in an
   ellipsis, and what scrolls in a region of its own, is not cut off. */
async () => {
  // With reduced motion every change is a transition of no length, which what lies deeper inherits a frame later.
  const moving = () => document.getAnimations().some(a => a instanceof CSSTransition && a.playState === "running");
  for (let still = 0, i = 0; still < 3 && i < 120; i++) {
    await new Promise(requestAnimationFrame);
    still = moving() ? 0 : still + 1;
  }
  const found = new Set(), root = document.documentElement, wide = root.clientWidth;
  const least = 11 * Math.max(1, Math.min(wide / 2560, 1.5)); // who has a larger screen sits farther away
  const name = e =>
    `${e.tagName.toLowerCase()}${[...e.classList].map(c => "." + c).join("")} “${(e.innerText || e.ariaLabel || "").slice(0, 40)}”`;
  const up = function* (e) {
    for (let p = e.parentElement; p; p = p.parentElement) yield p;
  };
  const scrolls = style => ["auto", "scroll"].includes(style.overflowX);
  const writes = e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
  if (root.scrollWidth > wide) found.add(`the page is ${root.scrollWidth - wide} px wider than its window`);
  for (const e of document.querySelectorAll("body *")) {
    if (e.closest("svg, .tp-hidden, .tp-skip, script, style, .q-loading-bar") || e.matches("canvas, option")) continue;
    if (!e.checkVisibility({ visibilityProperty: true, opacityProperty: true, contentVisibilityAuto: true })) continue;
    const box = e.getBoundingClientRect(), style = getComputedStyle(e);
    if (!box.width || !box.height) continue;
    if ((box.right > wide + 1 || box.left < -1) && ![...up(e)].some(p => scrolls(getComputedStyle(p))))
      found.add(`beyond the edge: ${name(e)}`);
    if (e.matches("a[href], button, summary, select, textarea, input:not([type=file])")) {
      const target = (e.closest(".q-field, .q-checkbox, label") || e).getBoundingClientRect();
      const inText = style.display === "inline" && writes(e.parentElement);
      if (Math.min(target.width, target.height) < 23.5 && !inText && !e.matches(".tp-span"))
        found.add(`smaller than 24 px: ${name(e)}, ${target.width.toFixed()} x ${target.height.toFixed()}`);
    }
    if (!writes(e) || e.matches(".q-icon, kbd")) continue;
    const size = parseFloat(style.fontSize);
    if (size < least - 0.1) found.add(`written too small: ${name(e)}, ${size} px`);
    if (box.width > 60 * size && box.height > 2.5 * size && !e.closest("pre, td"))
      found.add(`lines too long to read: ${name(e)}`);
    if (e.matches("h1, h2") && e.scrollWidth > e.clientWidth + 1) found.add(`a heading cut short: ${name(e)}`);
    const hides = p => ["hidden", "clip"].includes(p.overflowX) && p.textOverflow !== "ellipsis";
    if (style.display !== "inline" && hides(style) && e.scrollWidth > e.clientWidth + 1) found.add(`cut off: ${name(e)}`);
    for (const p of style.textOverflow === "ellipsis" ? [] : up(e)) {
      const around = getComputedStyle(p), edge = p.getBoundingClientRect();
      if (scrolls(around) || around.position === "fixed") break;
      if (hides(around) && (box.right > edge.right + 1 || box.left < edge.left - 1))
        found.add(`cut off by ${name(p)}: ${name(e)}`);
      if (around.textOverflow === "ellipsis" && around.overflowX !== "visible") break;
    }
  }
  return [...found];
}
