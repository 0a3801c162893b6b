// What a test asks of the notebook in front: from JupyterLab's own model, and from what the browser made of it.
window.lab = (() => {
  const panel = () => window.jupyterapp.shell.currentWidget;
  const kernel = () => panel().context.sessionContext.session?.kernel;
  const cells = () => [...panel().content.model.cells];
  const code = () => cells().filter((cell) => cell.type === "code");
  const outputs = () => code().flatMap((cell) => cell.outputs.toJSON());
  const errors = () => outputs().filter((output) => output.output_type === "error");
  const text = (value) => (Array.isArray(value) ? value.join("") : value ?? "");
  const drawn = (element) => {
    const box = element.getBoundingClientRect();
    return box.width > 10 && box.height > 10;
  };
  const RENDERED = ".jp-RenderedMarkdown, .jp-RenderedHTML, .jp-RenderedSVG, .jp-RenderedMermaid, .jp-RenderedImage";
  const inside = (selector) =>
    [...panel().node.querySelectorAll(selector)].filter(
      (element) => element.closest(RENDERED) && !element.closest("[data-icon], button") && !folded(element),
    );
  // A summary is seen, what stands beside it in a closed fold is not.
  const folded = (element) => {
    const fold = element.closest("details:not([open])");
    return fold !== null && element !== fold && !element.closest("summary");
  };

  // What the sources and the outputs hold that is to be drawn.
  const written = () => {
    const shown = outputs().filter((output) => output.data);
    const html = shown.map((output) => text(output.data["text/html"]));
    const markdown = shown.filter((output) => !output.data["text/html"]).map((output) => text(output.data["text/markdown"]));
    markdown.push(...cells().filter((cell) => cell.type === "markdown").map((cell) => cell.sharedModel.getSource()));
    const count = (texts, pattern) => texts.reduce((sum, each) => sum + (each.match(pattern) ?? []).length, 0);
    return {
      tables: count(html, /<table/g) + count(markdown, /^\|[-:| ]+\|$/gm),
      pictures: count(html, /<svg|<img/g) + count(markdown, /^```mermaid|^!\[/gm) +
        shown.filter((output) => output.data["image/svg+xml"] && !output.data["text/html"]).length,
    };
  };
  const tables = () => [...panel().node.querySelectorAll("table")].filter((table) => table.closest(RENDERED));
  const pictures = () => inside("img, svg").filter((picture) => !picture.parentElement.closest("svg"));

  const named = (picture) => {
    const by = picture.getAttribute("aria-labelledby");
    const name = picture.alt || picture.getAttribute("aria-label") || picture.querySelector("title")?.textContent ||
      (by && document.getElementById(by)?.textContent) || picture.closest("figure")?.querySelector("figcaption")?.textContent;
    return Boolean(name?.trim()) && (picture.tagName === "IMG" || picture.getAttribute("role") === "img");
  };

  // WCAG 2.2, relative luminance and contrast; a colour that is partly transparent is laid over what is behind it.
  const parts = (color) => {
    const [r, g, b, a = 1] = color.match(/[\d.]+/g).map(Number);
    return color.startsWith("color(srgb") ? [r * 255, g * 255, b * 255, a] : [r, g, b, a];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const behind = (element) => {
    if (!element) return [255, 255, 255, 1];
    const color = parts(getComputedStyle(element).backgroundColor);
    return color[3] === 1 ? color : over(color, behind(element.parentElement));
  };
  const luminance = (color) => {
    const [r, g, b] = color.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (element) => {
    const ground = behind(element);
    const [light, dark] = [luminance(over(parts(getComputedStyle(element).color), ground)), luminance(ground)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  };
  const faint = () =>
    [...panel().node.querySelectorAll(".jp-OutputArea-output :not(svg *)")]
      .filter((element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
      .filter((element) => !folded(element) && element.getClientRects().length && contrast(element) < 4.5)
      .map((element) => `${element.textContent.trim().slice(0, 60)} (${contrast(element).toFixed(1)})`);

  const overflows = (element) => element.scrollWidth > element.clientWidth + 1;
  return {
    path: () => panel()?.context?.path,
    ready: (path) => panel()?.context?.path === path && panel().context.isReady && kernel()?.status === "idle",
    ended: () =>
      kernel()?.status === "idle" && code().every((cell) => cell.executionState === "idle") &&
      (errors().length > 0 || code().every((cell) => cell.executionCount !== null)),
    rendered: () => {
      const wanted = written();
      return tables().length >= wanted.tables && pictures().filter(drawn).length >= wanted.pictures;
    },
    where: () => code().map((cell) => [cell.executionCount, cell.executionState, cell.sharedModel.getSource().slice(0, 60)]),
    height: () => panel().node.querySelector(".jp-WindowedPanel-inner").scrollHeight,
    seen: () => ({
      errors: errors().map((error) => `${error.ename}: ${error.evalue}`),
      notRun: code().filter((cell) => cell.executionCount === null).map((cell) => cell.sharedModel.getSource()),
      written: written(),
      tables: tables().length,
      withoutHeaders: tables().filter((table) => !table.querySelector("th")).map((table) => table.textContent.slice(0, 80)),
      pictures: pictures().filter(drawn).length,
      unnamed: pictures().filter((picture) => !named(picture) && picture.getAttribute("aria-hidden") !== "true")
        .map((picture) => picture.outerHTML.slice(0, 120)),
      headings: inside("h1, h2, h3, h4, h5, h6").map((heading) => Number(heading.tagName[1])),
      folded: inside("details:not([open]) > summary").map((summary) => summary.textContent),
      text: panel().content.node.innerText,
    }),
    faint,
    // A table or a listing may scroll in its own box; nothing else, and never the page.
    wide: () => [
      ...[...panel().node.querySelectorAll(".jp-WindowedPanel-outer")].filter(overflows).map(() => "the page"),
      ...[...panel().node.querySelectorAll(".jp-OutputArea-output, .jp-MarkdownOutput")]
        .filter((element) => overflows(element) && !element.querySelector("table, pre"))
        .map((element) => element.textContent.trim().slice(0, 80)),
    ],
    shutDown: async () => {
      await panel().context.save();
      await panel().context.sessionContext.shutdown();
      panel().dispose();
    },
  };
})();
