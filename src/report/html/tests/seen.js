// What a test asks of a page that is shown. Each answers with a list of what is wrong.
(() => {
  const numbers = (color) => (color.match(/[\d.]+/g) || []).map(Number);
  const light = (color) => {
    const part = (value) => value <= 10.31475 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4;
    const [red, green, blue] = numbers(color).map(part);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  // WCAG 2.1, 1.4.3
  const contrast = (one, other) => {
    const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  // Every colour that is behind an element: plain, or of stripes.
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const style = getComputedStyle(at);
      const stripes = style.backgroundImage.match(/rgba?\([^)]*\)/g);
      if (stripes) return stripes;
      const alpha = numbers(style.backgroundColor)[3];
      if (alpha === undefined || alpha === 1) return [style.backgroundColor];
    }
    return ["rgb(255, 255, 255)"];
  };
  const told = (element, ratio, least) =>
    ratio < least ? [element.outerHTML.slice(0, 160) + ": " + ratio.toFixed(2) + " of " + least] : [];
  const seen = (element) => element.checkVisibility() && element.getClientRects().length > 0;

  const texts = () => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const wrong = [];
    let count = 0;
    while (walker.nextNode()) {
      const element = walker.currentNode.parentElement;
      if (!walker.currentNode.data.trim() || ["SCRIPT", "STYLE", "title"].includes(element.tagName) || !seen(element)) continue;
      const style = getComputedStyle(element);
      const size = parseFloat(style.fontSize);
      const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
      const color = element instanceof SVGElement ? style.fill : style.color;
      const worst = Math.min(...behind(element).map((ground) => contrast(color, ground)));
      wrong.push(...told(element, worst, large ? 3 : 4.5));
      count += 1;
    }
    return count > 20 ? wrong : ["only " + count + " texts"];
  };
  // WCAG 2.1, 1.4.11
  const lines = () => [...document.querySelectorAll(".line:not(.faint) polyline, .guide")].flatMap((line) =>
    told(line, Math.min(...behind(line).map((ground) => contrast(getComputedStyle(line).stroke, ground))), 3));

  const overflow = () => {
    const width = document.documentElement.clientWidth;
    // Nobody scrolls on paper.
    const may = matchMedia("print").matches ? "svg" : ".scroll, svg";
    const wide = (element) => element.getBoundingClientRect().right > width + 0.5 && !element.closest(may);
    const found = [...document.body.querySelectorAll("*")].filter((element) => seen(element) && wide(element));
    const page = document.documentElement.scrollWidth > width ? ["the page has " + document.documentElement.scrollWidth] : [];
    return [...page, ...found.map((element) => element.outerHTML.slice(0, 160))];
  };
  // Texts of a drawing stay in it, and do not lie on each other.
  const labels = () => [...document.querySelectorAll("svg.chart")].flatMap((svg) => {
    const frame = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll("text")].filter(seen).map((text) => [text.textContent, text.getBoundingClientRect()]);
    const out = texts.filter(([, box]) => box.left < frame.left - 1 || box.right > frame.right + 1 || box.bottom > frame.bottom + 1);
    const cross = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3;
    const on = texts.flatMap(([text, box], at) =>
      texts.slice(at + 1).filter(([, other]) => cross(box, other)).map(([other]) => text + " on " + other));
    const title = svg.getAttribute("aria-label") + ": ";
    return [...out.map(([text]) => title + text + " leaves it"), ...on.map((text) => title + text)];
  });
  return { texts, lines, overflow, labels };
})()
