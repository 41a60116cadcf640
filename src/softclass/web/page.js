/** The page: header, contents, one panel, explanations; what connects store, address, words and panels. */
import { openAddress } from "softclass/address";
import { button } from "softclass/controls";
import { element } from "softclass/elements";
import * as softmax from "softclass/panel_softmax";
import { createRun } from "softclass/run";
import { sideOf } from "softclass/side";
import { createSource } from "softclass/source";
import { SourceError } from "softclass/source_error";
import { PANELS, encode, initial } from "softclass/state";
import { createStore } from "softclass/store";
import { integer, number, percent, register, setLanguage, t } from "softclass/text";
import { words } from "softclass/text_page";

const OPENERS = {
  softmax: () => softmax,
  loss: () => import("softclass/panel_loss"),
  slow: () => import("softclass/panel_slow"),
  plane: () => import("softclass/panel_plane"),
  digit: () => import("softclass/panel_digit"),
  mistakes: () => import("softclass/panel_mistakes"),
  reliability: () => import("softclass/panel_reliability"),
  sets: () => import("softclass/panel_sets"),
};
const PARTS = {
  understand: ["softmax", "loss", "slow"],
  train: ["plane", "digit"],
  trust: ["mistakes", "reliability", "sets"],
};
const WITH_MODEL = ["digit", "mistakes", "reliability", "sets"];
const QUIET = 1000; // milliseconds between two sentences of the live region

register("page", words);
const source = createSource(); // takes the token from the address before the address is rewritten
const address = openAddress((notices) => complain(notices));
const store = createStore(address.state);
let shell = null;
let opened = null;
let turn = 0; // counts openings: a panel that arrives late is not shown

/** Say something to screen readers, at most once a second; the latest sentence wins. */
function sayTo(region) {
  let timer = null;
  let last = -Infinity;
  let waiting = "";
  const speak = () => {
    timer = null;
    last = performance.now();
    region.textContent = waiting;
  };
  return (sentence) => {
    waiting = sentence;
    if (timer === null) timer = setTimeout(speak, Math.max(0, last + QUIET - performance.now()));
  };
}

function notice(sentence, { failed = false } = {}) {
  const close = button(null, { label: "×", press: () => box.remove(), kind: "close" });
  close.setAttribute("aria-label", t("page.close"));
  const box = element("div", { class: failed ? "notice failed" : "notice" }, element("p", sentence), close);
  const same = [...shell.notices.children].find((other) => other.firstChild.textContent === sentence);
  if (same) same.replaceWith(box);
  else shell.notices.append(box);
}

/** Say which parts of a new address could not be taken as written; what was said about the last one is over. */
function complain(notices) {
  shell.notices.replaceChildren();
  for (const { key, reason } of notices) notice(t(`page.${reason}`, { key }));
}

const change = (state) => store.set(state);

/** The header: name, tour, file, link, languages. */
function buildHeader() {
  const brand = element("a.brand", { href: "#" }, element("strong", "softclass"), element("span", t("page.explore")));
  brand.addEventListener("click", (event) => {
    event.preventDefault();
    change({ ...initial(), lang: store.get("lang"), hide: store.get("hide") });
  });
  const tour = button(null, { label: t("page.tour"), press: () => change({ tour: store.get("tour") === 0 ? 1 : 0 }) });
  const copy = button(null, { label: t("page.copy"), press: copyLink });
  const languages = element("div.segments.languages", { role: "group", "aria-label": t("page.language") });
  for (const [code, label] of [["en", "English"], ["zh", "中文"]]) {
    const pressed = shell.language === code;
    const pick = element("button", { type: "button", lang: code, "aria-pressed": String(pressed) }, label);
    pick.addEventListener("click", () => change({ lang: code }));
    languages.append(pick);
  }
  const model = element("span.model", { hidden: "" });
  return { model, element: element("header.top", brand, model, element("div.actions", tour, copy, languages)) };
}

async function copyLink() {
  try {
    await navigator.clipboard.writeText(location.href);
    notice(t("page.copied"));
  } catch {
    notice(t("page.link", { link: location.href }));
  }
}

/** The contents: three parts, eight panels. */
function buildContents() {
  const contents = element("nav.contents", { "aria-label": t("page.contents") });
  const links = new Map();
  for (const [part, panels] of Object.entries(PARTS)) {
    const list = element("ul", { "aria-label": t(`page.part.${part}`) });
    for (const panel of panels) {
      const href = `#${encode({ ...initial(), p: panel, lang: store.get("lang") })}`;
      const count = element("span.count", String(PANELS.indexOf(panel) + 1));
      const title = t(`page.panel.${panel}`); // on a phone a short form is seen, and this is heard
      const link = element("a", { href, "aria-label": title }, count, element("span.long", title));
      link.append(element("span.brief", t(`page.brief.${panel}`)));
      link.addEventListener("click", (event) => {
        if (event.metaKey || event.ctrlKey || event.shiftKey) return;
        event.preventDefault();
        change({ p: panel });
      });
      links.set(panel, link);
      list.append(element("li", link));
    }
    contents.append(
      element("div.part", element("p.overline", { "aria-hidden": "true" }, t(`page.part.${part}`)), list),
    );
  }
  return { element: contents, links };
}

/** Everything around the panel, in the language of the store. */
function build() {
  const chosen = store.get("lang");
  const language = setLanguage(chosen === "auto" ? (document.documentElement.dataset.language ?? "auto") : chosen);
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  shell = { language };
  const header = buildHeader();
  const contents = buildContents();
  const skip = element("a.skip", { href: "#panel" }, t("page.skip"));
  skip.addEventListener("click", (event) => {
    event.preventDefault(); // the address holds the state
    shell.main.focus();
  });
  Object.assign(shell, {
    model: header.model,
    links: contents.links,
    notices: element("div.notices", { role: "status" }),
    tour: element("div.tour-place"),
    main: element("main", { id: "panel", tabindex: "-1" }),
    side: element("aside", { "aria-label": t("page.side") }),
    live: element("div.quiet", { "aria-live": "polite" }),
  });
  const footer = element("footer", element("p", t("page.promise")));
  const middle = element("div.middle", shell.notices, shell.tour, shell.main);
  const body = element("div.body", contents.element, middle, shell.side);
  document.body.replaceChildren(skip, header.element, body, footer, shell.live);
}

function closePanel() {
  opened?.stops.forEach((stop) => stop());
  opened?.view?.close?.();
  opened = null;
}

/** What a panel is given; `headed(title, sentence)` replaces the words above it. */
function makePlace(headed) {
  const stops = [];
  const place = {
    store,
    main: element("div.panel"),
    side: sideOf(shell.side, { t, change }),
    source,
    t,
    number,
    percent,
    integer,
    say: sayTo(shell.live),
    headed,
    watch(needs, tell) {
      const stop = store.watch(needs, tell);
      stops.push(stop);
      return stop;
    },
    run(start, tell) {
      const run = createRun(start, tell);
      stops.push(() => {
        run.onchange = null;
        run.pause();
      });
      return run;
    },
  };
  return { place, stops };
}

/** The module of a panel; one that cannot be fetched means that nobody serves it any more. */
async function fetched(opener) {
  try {
    return await opener();
  } catch (error) {
    throw error instanceof TypeError ? new SourceError("source.gone") : error;
  }
}

async function openPanel({ focus = false } = {}) {
  const key = store.get("p");
  const mine = (turn += 1);
  closePanel();
  shell.main.removeAttribute("data-ready");
  for (const [panel, link] of shell.links) {
    if (panel === key) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const [heading, lead] = [element("h1", { tabindex: "-1" }), element("p.lead")];
  const headed = (title, sentence) => {
    if (mine !== turn) return;
    document.title = `${title} · softclass`;
    heading.textContent = title;
    lead.textContent = sentence;
  };
  headed(t(`page.panel.${key}`), t(`page.lead.${key}`));
  shell.side.replaceChildren();
  const { place, stops } = makePlace(headed);
  shell.main.replaceChildren(heading, lead, place.main);
  opened = { stops, view: null };
  if (focus && !shell.tour.contains(document.activeElement)) {
    heading.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  showModel(key);
  try {
    const module = await fetched(OPENERS[key]);
    if (mine !== turn) return;
    const view = await module.view(place);
    if (mine === turn) opened.view = view;
    else {
      stops.forEach((stop) => stop());
      view?.close?.();
      return;
    }
  } catch (error) {
    if (mine !== turn) return;
    place.main.replaceChildren();
    notice(t("page.broken", { reason: error instanceof Error ? error.message : String(error) }), { failed: true });
  }
  shell.main.dataset.ready = key;
}

/** The name of the model, on panels that use it. */
async function showModel(key) {
  const mine = turn;
  shell.model.hidden = true;
  if (!WITH_MODEL.includes(key)) return;
  try {
    const { name } = await source.model();
    if (mine !== turn) return;
    shell.model.textContent = t("page.model", { name });
    shell.model.hidden = false;
  } catch {
    // The panel says what is missing.
  }
}

async function showTour() {
  const index = store.get("tour");
  if (index === 0) {
    shell.tour.replaceChildren();
    return;
  }
  const { tourBar } = await import("softclass/tour");
  if (index === store.get("tour")) await tourBar(shell.tour, { index, store, source });
}

async function start() {
  build();
  complain(address.notices);
  address.follow(store);
  let [panel, lang, tour] = ["p", "lang", "tour"].map(store.get);
  store.watch(["p", "lang", "tour"], (newPanel, newLang, newTour) => {
    const [moved, translated, toured] = [newPanel !== panel, newLang !== lang, newTour !== tour];
    [panel, lang, tour] = [newPanel, newLang, newTour];
    if (translated) {
      build();
      document.querySelector(`.languages [lang=${shell.language}]`).focus();
    }
    if (moved || translated) openPanel({ focus: moved && !translated });
    if (toured || translated) showTour();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => openPanel());
  await Promise.all([openPanel(), showTour()]);
}

start();
