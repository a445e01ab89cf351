// The space-time page of quorumlab: one run on a canvas, with nodes as lanes and messages as arrows.
// An ES module without dependencies. Reports call `mount`; notebooks load the default export by anywidget.
// Text of a run gets into the page by `textContent` and `fillText` only. docs/report.md describes the data.

const FORM = 1;
const MOST_ARROWS = 1500; // drawn one by one; more of them are counted in bins
const FIRST = 250; // messages of the first view
const MOST_STEPS = 3000;
const MOST_LABELS = 70;
const MOST_EFFECTS = 4000;
const MOST_HITS = 10000;
const MOST_BARS = 1200; // operations drawn one by one
const BIN = 4; // pixels
const GUTTER = 96; // pixels for the names of nodes
const AXIS = 26; // pixels for the time
const TALLEST = 620; // pixels of the picture; more lanes are scrolled
const STOPS = { lost: 0.6, cut: 0.5, corrupted: 0.85, held: 0.4, "in flight": 0.5, crashed: 0.92 };
const MEANINGS = {
  delivered: "delivered",
  late: "delayed: more than twice the median of its link",
  duplicated: "a copy made by the network",
  released: "held back, then delivered",
  held: "held back to the end",
  lost: "lost",
  cut: "cut by a partition",
  corrupted: "corrupted: its checksum was wrong",
  crashed: "its receiver was down",
  "in flight": "under way at the end",
};

// Reading

/** Plain data from bytes that gzip compressed, or from the base64 of such bytes. */
export async function unpack(packed) {
  if (typeof DecompressionStream === "undefined")
    throw new Error("This browser is too old for the space-time page: it cannot read compressed data.");
  const bytes = typeof packed === "string" ? bytesOf(packed.trim()) : packed;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

function bytesOf(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

const floats = (list) => Float64Array.from(list, (value) => (value === null ? NaN : value));
const upTo = (sorted, value) => {
  // how many of these numbers are at most this value
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low;
};

/** For each owner the items that it owns, in order. */
function grouped(owners, count) {
  const starts = new Int32Array(count + 1);
  for (const owner of owners) if (owner >= 0) starts[owner + 1]++;
  for (let i = 0; i < count; i++) starts[i + 1] += starts[i];
  const items = new Int32Array(starts[count]);
  const free = starts.slice();
  owners.forEach((owner, item) => {
    if (owner >= 0) items[free[owner]++] = item;
  });
  return (owner) => items.subarray(starts[owner], starts[owner + 1]);
}

/** A run: its columns, and what follows from what. */
class Run {
  constructor(drawn) {
    if (drawn.form !== FORM) throw new Error(`The data have the form ${drawn.form}; this page reads ${FORM}.`);
    Object.assign(this, drawn);
    const m = this.messages;
    this.count = m.kind.length;
    this.sent = floats(m.sent);
    this.delivered = floats(m.delivered);
    this.src = Int32Array.from(m.src);
    this.dst = Int32Array.from(m.dst);
    this.kind = Int32Array.from(m.kind);
    this.fate = Int32Array.from(m.fate);
    this.late = new Uint8Array(this.count);
    for (const at of m.late) this.late[at] = 1;
    const took = this.delivered.map((end, i) => end - this.sent[i]).filter((time) => time >= 0).sort();
    this.typical = took.length ? took[took.length >> 1] : this.ended / 20;
    this.arrival = Float64Array.from(this.delivered, (end, i) => (end >= 0 ? end : this.sent[i] + this.typical));
    // Messages that were under way for longer than most are looked up apart, so that a view needs few others.
    this.usual = took.length ? Math.max(took[Math.floor(took.length * 0.99)], this.typical) : this.typical;
    this.slow = [];
    for (let i = 0; i < this.count; i++) if (this.arrival[i] - this.sent[i] > this.usual) this.slow.push(i);
    this.arrives = m.fates.map((fate) => STOPS[fate] === undefined);
    this.plain = m.fates.map((fate) => fate === "delivered");
    this.callAt = floats(this.operations.called);
    this.returnAt = floats(this.operations.returned);
    this.moments = this.steps ? floats(this.steps.time) : this._moments();
    if (this.steps) this._causes();
    this.rowsOfOperations = this._rows();
    this.spansOf = grouped(this.spans.node, this.nodes.length);
  }

  _moments() {
    const times = [...this.sent, ...this.delivered, ...this.marks.time, ...this.spans.start, ...this.callAt];
    return Float64Array.from(new Set(times.filter((time) => time <= this.ended))).sort();
  }

  _causes() {
    const { node, after, message } = this.steps;
    this.stepsOf = grouped(node, this.nodes.length);
    this.effectsOf = grouped(after, node.length);
    this.handledBy = new Int32Array(this.count).fill(-1);
    message.forEach((id, step) => {
      if (id >= 0) this.handledBy[id] = step;
    });
    this.sentBy = grouped(this.messages.step, node.length);
  }

  /** For each operation the row of its lane in which it is drawn; operations of one client may overlap. */
  _rows() {
    const free = this.nodes.map(() => []);
    this.rowCount = this.nodes.map(() => 0);
    const order = [...this.callAt.keys()].sort((a, b) => this.callAt[a] - this.callAt[b]);
    const rows = new Int32Array(order.length);
    for (const at of order) {
      const client = this.operations.client[at];
      if (client < 0) continue;
      const lanes = free[client];
      let row = lanes.findIndex((until) => until <= this.callAt[at]);
      if (row < 0) row = lanes.length < 4 ? lanes.length : at % 4;
      lanes[row] = Number.isNaN(this.returnAt[at]) ? this.ended : this.returnAt[at];
      rows[at] = row;
      this.rowCount[client] = Math.max(this.rowCount[client], row + 1);
    }
    return rows;
  }

  fateOf(message) {
    const fate = this.messages.fates[this.fate[message]];
    return fate === "delivered" && this.late[message] ? "late" : fate;
  }

  /** What a node is at a time: down, paused, or its role; "" where no role is known. */
  roleAt(node, time) {
    let role = "";
    for (const span of this.spansOf(node)) {
      const what = this.spans.what[span];
      if (this.spans.start[span] > time) continue;
      const over = this.spans.end[span] <= time && this.spans.end[span] < this.ended;
      if (over) continue;
      if (what === "down" || what === "paused") return what;
      role = what;
    }
    return role;
  }

  /** The steps that led to a step, the latest first, and the messages between them. */
  causes(step) {
    const found = { steps: [], messages: [] };
    for (let at = step; at >= 0; at = this.steps.after[at]) {
      found.steps.push(at);
      if (this.steps.message[at] >= 0) found.messages.push(this.steps.message[at]);
    }
    return found;
  }

  /** The steps that a step led to, and all messages that they sent. */
  effects(step) {
    const found = { steps: [step], messages: [] };
    for (let i = 0; i < found.steps.length && found.steps.length < MOST_EFFECTS; i++) {
      found.messages.push(...this.sentBy(found.steps[i]));
      found.steps.push(...this.effectsOf(found.steps[i]));
    }
    return found;
  }
}

/** Contents of messages and changes of states; each table is written once (sim/page/pool.py). */
class Details {
  constructor(written) {
    Object.assign(this, { contents: null, changes: null, shapes: [], tables: [] }, written);
    this._made = new Array(this.tables.length);
  }

  table(place) {
    let made = this._made[place];
    if (made === undefined) {
      const [shape, ...values] = this.tables[place];
      made = this._made[place] = Object.create(null);
      this.shapes[shape].forEach((name, i) => (made[name] = this._value(values[i])));
    }
    return made;
  }

  _value(value) {
    if (Array.isArray(value)) return value.map((item) => this._value(item));
    if (typeof value !== "string" || value[0] !== "@") return value;
    return value[1] === "@" ? value.slice(1) : this.table(Number(value.slice(1)));
  }

  content(message) {
    return this.contents ? this.table(this.contents[message]) : null;
  }

  change(step) {
    return this.changes ? this.table(this.changes[step]) : null;
  }
}

/** The state of each node after any step: changes are added up from the nearest kept state before it. */
class States {
  constructor(run, details) {
    this.run = run;
    this.details = details;
    this.kept = run.nodes.map(() => []); // per node: [[how many of its steps, its state]], every EVERY steps
  }

  /** The attributes of a node after the steps up to one (its id); null: it was down, or had not begun. */
  at(node, step) {
    const { run } = this;
    if (!run.states || !this.details.changes) return null;
    const mine = run.stepsOf(node);
    const count = upTo(mine, step);
    if (!count || this._down(node, run.moments[step])) return null;
    const incarnation = run.steps.incarnation[mine[count - 1]];
    return this._sum(mine, node, count, incarnation);
  }

  _sum(mine, node, count, incarnation) {
    const kept = this.kept[node];
    const { run, details } = this;
    const EVERY = 64;
    let from = Math.min(Math.floor(count / EVERY), kept.length - 1);
    let state = from >= 0 ? { ...kept[from].state } : {};
    let born = from >= 0 ? kept[from].incarnation : -1;
    for (let i = Math.max(from, 0) * EVERY; i < count; i++) {
      if (i % EVERY === 0 && kept.length === i / EVERY) kept.push({ state: { ...state }, incarnation: born });
      if (run.steps.incarnation[mine[i]] !== born) {
        born = run.steps.incarnation[mine[i]];
        state = {};
      }
      for (const [name, value] of Object.entries(details.change(mine[i])))
        if (value && value.class === "gone") delete state[name];
        else state[name] = value;
    }
    return born === incarnation ? state : {};
  }

  _down(node, time) {
    for (const span of this.run.spansOf(node))
      if (this.run.spans.what[span] === "down" && this.run.spans.start[span] <= time && time < this._end(span))
        return true;
    return false;
  }

  _end(span) {
    const end = this.run.spans.end[span];
    return end >= this.run.ended ? Infinity : end;
  }
}

// Words

/** Seconds in the unit that reads best; `step`: what must be told apart (seconds). */
export function timeText(seconds, step = 0) {
  const size = Math.max(Math.abs(seconds), step);
  const [factor, unit] = size >= 1 || seconds === 0 ? [1, "s"] : size >= 1e-3 ? [1e3, "ms"] : [1e6, "µs"];
  const digits = step > 0 ? Math.max(0, Math.min(9, Math.ceil(-Math.log10(step * factor) - 1e-9))) : 3;
  return `${(seconds * factor).toFixed(digits)} ${unit}`;
}

/** A value of a trace as text, one line. */
export function brief(value, depth = 0) {
  if (value === null || value === undefined) return "none";
  if (typeof value !== "object") return typeof value === "string" ? (depth ? `"${value}"` : value) : String(value);
  if (depth > 6) return "…";
  if (Array.isArray(value)) return `[${value.map((item) => brief(item, depth + 1)).join(", ")}]`;
  const { class: name, ...fields } = value;
  if (name === "cut" && fields.last)
    return `… last ${fields.last.length} of ${fields.length.toLocaleString("en")}: ${brief(fields.last, depth + 1)}`;
  if ("of" in fields && Object.keys(fields).length === 1) {
    const inner = brief(fields.of, depth + 1);
    return name === "dict" || name === "cut" ? inner : `${name} ${inner}`;
  }
  const told = Object.entries(fields).map(([key, item]) => `${key}: ${brief(item, depth + 1)}`);
  return name === undefined ? `{${told.join(", ")}}` : `${name}(${told.join(", ")})`;
}

const shorten = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

// Drawing

const LIGHT = { text: "#1b1b1b", quiet: "#6b6b6b", line: "#b9b9b9", back: "#ffffff", band: "rgba(213,94,0,0.13)", bar: "#56B4E9", alarm: "#B00020", picked: "#000000" };
const DARK = { text: "#ececec", quiet: "#a5a5a5", line: "#5b5b5b", back: "#161616", band: "rgba(230,159,0,0.20)", bar: "#56B4E9", alarm: "#FF7A85", picked: "#ffffff" };

/** Whether an element stands on a dark page: by the nearest background that is not transparent. */
function onDark(element) {
  for (let at = element; at; at = at.parentElement || (at.getRootNode() && at.getRootNode().host)) {
    const found = /rgba?\((\d+), ?(\d+), ?(\d+)(?:, ?([\d.]+))?/.exec(getComputedStyle(at).backgroundColor);
    if (found && Number(found[4] ?? 1) > 0.5) return 0.3 * found[1] + 0.59 * found[2] + 0.11 * found[3] < 128;
  }
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

function sign(context, fate, x, y, angle, size, colour, back) {
  // What stands at the end of a message's way: fates differ in form, not only in colour.
  context.save();
  context.translate(x, y);
  context.rotate(angle);
  context.strokeStyle = context.fillStyle = colour;
  context.lineWidth = 1.6;
  context.setLineDash([]);
  context.beginPath();
  if (fate === "lost" || fate === "crashed") {
    context.moveTo(-size, -size);
    context.lineTo(size, size);
    context.moveTo(-size, size);
    context.lineTo(size, -size);
    context.stroke();
  } else if (fate === "cut") {
    context.moveTo(0, -1.5 * size);
    context.lineTo(0, 1.5 * size);
    context.stroke();
  } else if (fate === "corrupted") {
    context.arc(0, 0, 1.2 * size, 0, 7);
    context.moveTo(-size, -size);
    context.lineTo(size, size);
    context.stroke();
  } else if (fate === "held") {
    context.rect(-size, -size, 2 * size, 2 * size);
    context.fill();
  } else if (fate !== "in flight") {
    context.moveTo(0, 0);
    context.lineTo(-8, -3.2);
    context.lineTo(-8, 3.2);
    context.closePath();
    if (fate === "duplicated") {
      context.fillStyle = back;
      context.fill();
      context.stroke();
    } else context.fill();
  }
  context.restore();
}

const DASHES = { late: [10, 3], duplicated: [], released: [2, 3], held: [2, 3], lost: [5, 4], cut: [5, 4] };

function arrow(context, fate, x0, y0, x1, y1, colour, back, width = 1.1) {
  const stop = STOPS[fate] ?? 1;
  const x = x0 + stop * (x1 - x0);
  const y = y0 + stop * (y1 - y0);
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.setLineDash(DASHES[fate] ?? []);
  context.beginPath();
  context.moveTo(x0, y0);
  context.lineTo(x, y);
  context.stroke();
  const angle = Math.atan2(y1 - y0, x1 - x0);
  sign(context, fate, x, y, angle, 3.6, colour, back);
  if (fate === "released") sign(context, "held", (x0 + x) / 2, (y0 + y) / 2, angle, 2.6, colour, back);
}

/** What is shown: which nodes, kinds, fates and keys, and which span of time. */
class View {
  constructor(run) {
    this.run = run;
    this.nodes = run.nodes.map(() => true);
    this.kinds = run.messages.kinds.map(() => true);
    this.fate = "";
    this.key = "";
    this.scroll = 0;
    this.width = 800;
    this.fit();
    this.filter();
    this._begin();
  }

  /** The first view: all of a small run; of a large one the time about what broke, or the first fault, or its start. */
  _begin() {
    const { run } = this;
    if (run.count <= FIRST) return;
    const faults = [...run.spans.start.filter((_, i) => ["down", "paused"].includes(run.spans.what[i])), ...run.bands.map((band) => band.start)];
    const broken = run.broken && run.broken.time;
    const about = broken ?? (faults.length ? Math.min(...faults) : 0);
    const middle = upTo(run.sent, about);
    const first = Math.max(0, Math.min(run.count - FIRST, middle - (broken ? 0.8 : 0.4) * FIRST));
    this.start = run.sent[Math.floor(first)];
    this.end = Math.max(run.sent[Math.min(run.count - 1, Math.floor(first) + FIRST)], this.start + 1e-6);
    if (broken) this.end = Math.max(this.end, broken + 0.06 * (broken - this.start));
    this.zoom(1.05);
  }

  fit() {
    const margin = 0.02 * this.run.ended || 0.5;
    this.start = -margin;
    this.end = this.run.ended + margin;
  }

  /** Work out which messages and operations the filters let through. */
  filter() {
    const { run } = this;
    const wanted = run.operations.key.map((key) => !this.key || key === this.key);
    this.operations = wanted.map((yes, i) => yes && run.operations.client[i] >= 0 && this.nodes[run.operations.client[i]]);
    this.shown = new Uint8Array(run.count);
    const about = run.messages.about;
    for (let i = 0; i < run.count; i++) {
      if (!this.kinds[run.kind[i]] || !this.nodes[run.src[i]] || !this.nodes[run.dst[i]]) continue;
      if (this.fate && run.fateOf(i) !== this.fate) continue;
      if (this.key && !(about && about[i].some((row) => wanted[row]))) continue;
      this.shown[i] = 1;
    }
    this.layOut();
  }

  /** Place the lanes: roomy ones, or dense ones where the roomy ones would be too tall. */
  layOut() {
    this._place(false);
    if (this.tall > TALLEST) this._place(true);
    this.height = Math.min(this.tall, TALLEST);
    this.scroll = Math.max(0, Math.min(this.scroll, this.tall - this.height));
  }

  _place(dense) {
    const { run } = this;
    this.lanes = [];
    this.laneOf = new Array(run.nodes.length).fill(null);
    let y = AXIS + 6;
    run.nodes.forEach((node, i) => {
      if (!this.nodes[i]) return;
      const bars = run.rowCount[i];
      const height = bars ? 16 + 9 * bars + (dense ? 4 : 12) : dense ? 28 : 52;
      const lane = { node: i, top: y, height, y: bars ? y + (dense ? 8 : 12) : y + height / 2, bars };
      this.lanes.push(lane);
      this.laneOf[i] = lane;
      y += height;
    });
    this.tall = y + 6;
  }

  x(time) {
    return GUTTER + ((time - this.start) / (this.end - this.start)) * (this.width - GUTTER);
  }

  time(x) {
    return this.start + ((x - GUTTER) / (this.width - GUTTER)) * (this.end - this.start);
  }

  y(node) {
    return this.laneOf[node].y - this.scroll;
  }

  /** Move by a part of the span; returns whether there was room to. */
  pan(part) {
    const span = this.end - this.start;
    const before = this.start;
    const least = -0.02 * this.run.ended - 0.02 * span;
    const most = Math.max(least, this.run.ended * 1.02 + 0.02 * span - span);
    this.start = Math.max(least, Math.min(most, this.start + part * span));
    this.end = this.start + span;
    return this.start !== before;
  }

  zoom(factor, at = (this.start + this.end) / 2) {
    const whole = 1.04 * this.run.ended || 1;
    const span = Math.max(1e-7, Math.min(whole, (this.end - this.start) * factor));
    const part = (at - this.start) / (this.end - this.start);
    this.start = at - part * span;
    this.end = this.start + span;
    this.pan(0);
  }

  center(time, most = Infinity) {
    const span = Math.min(this.end - this.start, most);
    this.start = time - span / 2;
    this.end = time + span / 2;
    this.pan(0);
  }

  /** The messages that touch the span and that the filters let through; null: more than `most`. */
  messages(most = MOST_ARROWS) {
    const { run } = this;
    const found = [];
    const first = upTo(run.sent, this.start - 1.001 * run.usual);
    const last = upTo(run.sent, this.end);
    for (const i of run.slow) {
      if (i >= first) break;
      if (this.shown[i] && run.arrival[i] >= this.start) found.push(i);
    }
    for (let i = first; i < last; i++)
      if (this.shown[i] && run.arrival[i] >= this.start && found.push(i) > most) return null;
    return found;
  }
}

/** Draws a view on a canvas; what moves with the mouse and the time is on a second canvas above it. */
class Picture {
  constructor(run, view, base, over) {
    Object.assign(this, { run, view, base, over });
    this.theme = LIGHT;
    this.cost = 0; // milliseconds of the last drawing
  }

  resize(width) {
    const ratio = window.devicePixelRatio || 1;
    this.view.width = Math.max(320, width);
    for (const canvas of [this.base, this.over]) {
      canvas.width = Math.round(this.view.width * ratio);
      canvas.height = Math.round(this.view.height * ratio);
      canvas.style.width = `${this.view.width}px`;
      canvas.style.height = `${this.view.height}px`;
      canvas.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0);
    }
  }

  colourOf(kind) {
    const colour = this.run.messages.colours[kind];
    return colour === "#000000" ? this.theme.text : colour;
  }

  draw(faint) {
    const begun = performance.now();
    const context = this.base.getContext("2d");
    const { view } = this;
    context.clearRect(0, 0, view.width, view.height);
    context.font = "12px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.save();
    context.beginPath();
    context.rect(GUTTER, 0, view.width - GUTTER, view.height);
    context.clip();
    this._bands(context);
    this._lanes(context);
    this._operations(context);
    if (faint) context.globalAlpha = 0.22;
    this.visible = view.messages();
    this.counted = this.visible === null;
    if (this.counted) this._bins(context);
    else this._arrows(context, this.visible);
    context.globalAlpha = 1;
    this._steps(context);
    this._marks(context);
    this._broken(context);
    context.restore();
    this._names(context);
    this._axis(context);
    this._more(context);
    this.cost = performance.now() - begun;
  }

  _axis(context) {
    const { view, theme } = this;
    const span = view.end - view.start;
    const rough = (span * 110) / (view.width - GUTTER);
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((n) => n * power).find((size) => size >= rough);
    const size = Math.max(Math.abs(view.start), Math.abs(view.end));
    const [factor, unit] = size >= 1 ? [1, "s"] : size >= 1e-3 ? [1e3, "ms"] : [1e6, "µs"];
    const digits = Math.max(0, Math.ceil(-Math.log10(step * factor) - 1e-9));
    context.clearRect(0, 0, view.width, AXIS);
    context.fillStyle = theme.quiet;
    context.strokeStyle = theme.line;
    context.lineWidth = 1;
    context.textAlign = "center";
    context.beginPath();
    for (let at = Math.ceil(view.start / step) * step; at <= view.end; at += step) {
      const x = view.x(at);
      if (x < GUTTER) continue;
      context.moveTo(x, AXIS - 5);
      context.lineTo(x, AXIS);
      const text = (Math.abs(at) < step / 2 ? 0 : at * factor).toFixed(digits);
      if (x > GUTTER + 14 && x < view.width - 24) context.fillText(text, x, AXIS / 2 - 2);
    }
    context.stroke();
    context.textAlign = "left";
    context.fillText(`time (${unit})`, 6, AXIS / 2 - 2);
  }

  _names(context) {
    const { view, theme, run } = this;
    context.clearRect(0, AXIS, GUTTER, view.height);
    context.textAlign = "right";
    for (const lane of view.lanes) {
      const y = lane.y - view.scroll;
      if (y < AXIS || y > view.height) continue;
      const node = run.nodes[lane.node];
      const roomy = lane.height > 30 && node.region;
      context.fillStyle = theme.text;
      context.fillText(shorten(node.name, 14), GUTTER - 10, roomy ? y - 6 : y);
      if (!roomy) continue;
      context.fillStyle = theme.quiet;
      context.font = "10px system-ui, sans-serif";
      context.fillText(shorten(node.region, 16), GUTTER - 10, y + 8);
      context.font = "12px system-ui, sans-serif";
    }
    context.textAlign = "left";
  }

  /** Where there are more lanes above or below: how to get there. */
  _more(context) {
    const { view, theme } = this;
    const below = view.lanes.filter((lane) => lane.y - view.scroll > view.height).length;
    const above = view.lanes.filter((lane) => lane.y - view.scroll < AXIS).length;
    context.fillStyle = theme.alarm;
    context.font = "11px system-ui, sans-serif";
    if (below) context.fillText(`▼ ${below} more lanes: ↓, or drag`, 6, view.height - 8);
    if (above) context.fillText(`▲ ${above} more lanes: ↑`, 6, AXIS + 8);
    context.font = "12px system-ui, sans-serif";
  }

  _bands(context) {
    const { view, theme, run } = this;
    run.bands.forEach((band, i) => {
      const x0 = view.x(band.start);
      const x1 = view.x(band.end);
      if (x1 < GUTTER || x0 > view.width) return;
      context.fillStyle = theme.band;
      context.fillRect(x0, AXIS, Math.max(1, x1 - x0), view.height);
      context.fillStyle = theme.quiet;
      if (x1 - x0 > 40)
        context.fillText(shorten(band.label, Math.floor((x1 - x0) / 6)), Math.max(x0, GUTTER) + 4, AXIS + 8 + 12 * (i % 2));
    });
  }

  _lanes(context) {
    const { view, theme, run } = this;
    for (const lane of view.lanes) {
      const y = lane.y - view.scroll;
      context.strokeStyle = theme.line;
      context.lineWidth = 1;
      context.setLineDash([]);
      const spans = run.spansOf(lane.node);
      const downs = [...spans].filter((span) => run.spans.what[span] === "down");
      let from = GUTTER;
      for (const span of [...downs, -1]) {
        const until = span < 0 ? view.width : view.x(run.spans.start[span]);
        if (until > from) {
          context.beginPath();
          context.moveTo(from, y);
          context.lineTo(until, y);
          context.stroke();
        }
        if (span >= 0) from = Math.max(from, view.x(run.spans.end[span]));
      }
      for (const span of spans) this._span(context, span, y);
    }
  }

  _span(context, span, y) {
    const { view, theme, run } = this;
    const what = run.spans.what[span];
    const x0 = Math.max(view.x(run.spans.start[span]), GUTTER - 5);
    const x1 = Math.min(view.x(run.spans.end[span]), view.width + 5);
    if (x1 < GUTTER || x0 > view.width) return;
    const wide = Math.max(1, x1 - x0);
    if (what === "down") {
      // A gap in the lane, with its ends marked.
      context.strokeStyle = theme.alarm;
      context.lineWidth = 2;
      context.beginPath();
      for (const x of [x0, x1]) {
        context.moveTo(x, y - 7);
        context.lineTo(x, y + 7);
      }
      context.stroke();
      context.fillStyle = theme.alarm;
      if (wide > 44) context.fillText("down", x0 + 6, y);
    } else if (what === "paused") {
      context.strokeStyle = theme.text;
      context.lineWidth = 1;
      context.beginPath();
      for (let x = x0; x < x1; x += 6) {
        context.moveTo(x, y + 6);
        context.lineTo(Math.min(x + 6, x1), y - 6);
      }
      context.stroke();
      context.strokeRect(x0, y - 6, wide, 12);
    } else {
      context.fillStyle = run.roles[what] ?? theme.line;
      context.fillRect(x0, y - 4, wide, 8);
    }
  }

  _operations(context) {
    const { view, theme, run } = this;
    const { kind, key, status, client } = run.operations;
    const last = upTo(run.callAt, view.end);
    const shown = [];
    for (let i = 0; i < last; i++) if (view.operations[i] && !(run.returnAt[i] < view.start)) shown.push(i);
    const dense = shown.length > MOST_BARS;
    const drawn = new Map(); // the right end of what is drawn in a row of a lane
    context.font = "10px system-ui, sans-serif";
    for (const i of shown) {
      const x0 = Math.max(view.x(run.callAt[i]), GUTTER - 2);
      const end = Number.isNaN(run.returnAt[i]) ? run.ended : run.returnAt[i];
      const wide = Math.max(1.5, Math.min(view.x(end), view.width + 2) - x0);
      const row = client[i] * 8 + run.rowsOfOperations[i];
      const before = drawn.get(row) ?? { bar: -1, text: -1 };
      drawn.set(row, before);
      if (dense && x0 + wide < before.bar + 0.5) continue;
      before.bar = Math.max(before.bar, x0 + wide);
      const y = view.laneOf[client[i]].y + 8 + 9 * run.rowsOfOperations[i] - view.scroll;
      context.globalAlpha = status[i] === "ok" ? 0.55 : 1;
      context.fillStyle = status[i] === "fail" ? theme.line : status[i] === "info" ? theme.alarm : theme.bar;
      if (status[i] !== "info" || wide < 4) context.fillRect(x0, y, wide, 7);
      else {
        // Its outcome is unknown: open, with a line along its middle.
        context.fillRect(x0, y, 1.5, 7);
        context.fillRect(x0, y + 3, wide, 1);
      }
      context.globalAlpha = 1;
      if (dense || wide < 58 || x0 < before.text) continue;
      const text = shorten(`${kind[i]} ${key[i]}${status[i] === "ok" ? "" : ` ${status[i]}`}`, Math.floor(wide / 6));
      context.fillStyle = theme.text;
      context.fillText(text, x0 + 3, y + 4);
      before.text = x0 + 3 + 6 * text.length;
    }
    context.font = "12px system-ui, sans-serif";
  }

  _arrows(context, messages) {
    const { view, run } = this;
    // Plain arrows of one colour are one path; the others differ in form and are drawn one by one.
    const plain = run.messages.kinds.map(() => []);
    const odd = [];
    for (const i of messages)
      if (run.plain[run.fate[i]] && !run.late[i]) plain[run.kind[i]].push(i);
      else odd.push(i);
    context.setLineDash([]);
    context.lineWidth = messages.length > 600 ? 0.7 : 1.1;
    plain.forEach((mine, kind) => {
      if (!mine.length) return;
      context.strokeStyle = context.fillStyle = this.colourOf(kind);
      context.beginPath();
      for (const i of mine) {
        context.moveTo(view.x(run.sent[i]), view.y(run.src[i]));
        context.lineTo(view.x(run.arrival[i]), view.y(run.dst[i]));
      }
      context.stroke();
      context.beginPath();
      for (const i of mine) this._head(context, i);
      context.fill();
    });
    for (const i of odd) this._arrow(context, i);
    if (messages.length <= MOST_LABELS) for (const i of messages) this._label(context, i);
    context.setLineDash([]);
  }

  _head(context, i) {
    const { view, run } = this;
    const x = view.x(run.arrival[i]);
    const y = view.y(run.dst[i]);
    const dx = x - view.x(run.sent[i]);
    const dy = y - view.y(run.src[i]);
    const length = Math.hypot(dx, dy) || 1;
    const [ux, uy] = [dx / length, dy / length];
    context.moveTo(x, y);
    context.lineTo(x - 8 * ux - 3 * uy, y - 8 * uy + 3 * ux);
    context.lineTo(x - 8 * ux + 3 * uy, y - 8 * uy - 3 * ux);
  }

  _arrow(context, i, colour = this.colourOf(this.run.kind[i]), width = 1.2) {
    const { view, run, theme } = this;
    const ends = [view.x(run.sent[i]), view.y(run.src[i]), view.x(run.arrival[i]), view.y(run.dst[i])];
    arrow(context, run.fateOf(i), ...ends, colour, theme.back, width);
  }

  _label(context, i) {
    const { view, run, theme } = this;
    const [x0, y0] = [view.x(run.sent[i]), view.y(run.src[i])];
    const [x1, y1] = [view.x(run.arrival[i]), view.y(run.dst[i])];
    const kind = run.messages.kinds[run.kind[i]];
    if (Math.hypot(x1 - x0, y1 - y0) < 7.5 * kind.length + 30) return;
    context.save();
    context.font = "10px system-ui, sans-serif";
    context.translate(x0 + 0.36 * (x1 - x0), y0 + 0.36 * (y1 - y0));
    context.rotate(Math.atan2(y1 - y0, x1 - x0));
    context.textAlign = "center";
    context.lineWidth = 3;
    context.strokeStyle = theme.back;
    context.setLineDash([]);
    context.strokeText(kind, 0, -6);
    context.fillStyle = this.colourOf(run.kind[i]);
    context.fillText(kind, 0, -6);
    context.restore();
  }

  /** How many messages of each kind each lane sent in each bin of time; and the first unusual ones. */
  _count() {
    const { view, run } = this;
    const bins = Math.ceil((view.width - GUTTER) / BIN);
    const kinds = run.messages.kinds.length;
    const size = bins * kinds;
    const counts = new Uint32Array(run.nodes.length * size);
    const unusual = new Map(); // the first of each sender and fate in a bin
    const fates = run.messages.fates.length;
    const scale = bins / (view.time(GUTTER + bins * BIN) - view.start);
    const last = upTo(run.sent, view.end);
    for (let i = upTo(run.sent, view.start); i < last; i++) {
      if (!view.shown[i]) continue;
      const bin = Math.min(bins - 1, Math.floor((run.sent[i] - view.start) * scale));
      if (!run.arrives[run.fate[i]]) {
        const place = (bin * run.nodes.length + run.src[i]) * fates + run.fate[i];
        if (!unusual.has(place)) unusual.set(place, i);
      }
      counts[run.src[i] * size + bin * kinds + run.kind[i]]++;
    }
    return { counts, bins, kinds, size, unusual };
  }

  /** Too many for arrows: bars on the lane of the sender, one a bin of time, stacked by kind; unusual ones as signs. */
  _bins(context) {
    const { view, run, theme } = this;
    this.binned = this._count();
    const { counts, bins, kinds, size, unusual } = this.binned;
    let most = 1;
    for (let at = 0; at < counts.length; at += kinds) {
      let sum = 0;
      for (let kind = 0; kind < kinds; kind++) sum += counts[at + kind];
      if (sum > most) most = sum;
    }
    const below = new Uint32Array(bins);
    for (const lane of view.lanes) {
      const room = Math.max(8, (lane.bars ? 12 : lane.height / 2) - 6) / most;
      const foot = lane.y - view.scroll - 5;
      below.fill(0);
      for (let kind = 0; kind < kinds; kind++) {
        context.fillStyle = this.colourOf(kind);
        for (let bin = 0, at = lane.node * size + kind; bin < bins; bin++, at += kinds) {
          const count = counts[at];
          if (!count) continue;
          below[bin] += count;
          context.fillRect(GUTTER + bin * BIN, foot - below[bin] * room, BIN - 1, Math.max(0.7, count * room));
        }
      }
    }
    for (const i of unusual.values())
      sign(context, run.fateOf(i), view.x(run.sent[i]), view.y(run.src[i]) + 9, 0, 2.2, theme.alarm, theme.back);
  }

  _steps(context) {
    const { view, run, theme } = this;
    if (!run.steps) return;
    const first = upTo(run.moments, view.start);
    const last = upTo(run.moments, view.end);
    if (last - first > MOST_STEPS) return;
    context.fillStyle = theme.text;
    const radius = last - first > 600 ? 1.4 : 2.2;
    for (let step = first; step < last; step++) {
      const lane = view.laneOf[run.steps.node[step]];
      if (!lane) continue;
      const size = run.steps.changes[step] ? radius : 0.8;
      context.fillRect(view.x(run.moments[step]) - size, lane.y - view.scroll - size, 2 * size, 2 * size);
    }
  }

  _marks(context) {
    const { view, run, theme } = this;
    const { time, node, event } = run.marks;
    const last = time.length;
    const shown = [];
    for (let i = 0; i < last; i++) if (time[i] >= view.start && time[i] <= view.end) shown.push(i);
    if (shown.length > MOST_STEPS) return;
    context.textAlign = "center";
    for (const i of shown) {
      const lane = node[i] < 0 ? null : view.laneOf[node[i]];
      if (node[i] >= 0 && !lane) continue;
      const x = view.x(time[i]);
      const y = lane ? lane.y - view.scroll : AXIS + 8;
      context.fillStyle = theme.text;
      context.strokeStyle = theme.back;
      context.lineWidth = 1;
      context.beginPath();
      for (let point = 0; point < 10; point++) {
        const size = point % 2 ? 2.6 : 6.4;
        const angle = (Math.PI * point) / 5 - Math.PI / 2;
        context.lineTo(x + size * Math.cos(angle), y + size * Math.sin(angle));
      }
      context.closePath();
      context.fill();
      context.stroke();
      if (shown.length < 25) {
        context.font = "10px system-ui, sans-serif";
        context.fillText(shorten(event[i], 24), x, y + 14);
        context.font = "12px system-ui, sans-serif";
      }
    }
    context.textAlign = "left";
  }

  _broken(context) {
    const { view, run, theme } = this;
    if (!run.broken || run.broken.time === null) return;
    const x = view.x(run.broken.time);
    context.strokeStyle = context.fillStyle = theme.alarm;
    context.lineWidth = 2;
    context.beginPath();
    context.moveTo(x, AXIS);
    context.lineTo(x, view.height);
    context.stroke();
    context.textAlign = "right";
    context.fillText("BROKEN", x - 5, AXIS + 9);
    context.textAlign = "left";
    for (const name of run.broken.nodes) {
      const lane = view.laneOf[run.nodes.findIndex((node) => node.name === name)];
      if (!lane) continue;
      context.beginPath();
      context.arc(x, lane.y - view.scroll, 9, 0, 7);
      context.stroke();
    }
  }

  /** The whole run in a strip: how many messages, faults, what broke, and the part that is shown. */
  drawStrip(canvas) {
    const { view, run, theme } = this;
    const tall = 30;
    const wide = view.width - GUTTER;
    const place = (time) => GUTTER + (time / (run.ended || 1)) * wide;
    if (canvas.whole !== `${view.width} ${theme.text}`) {
      canvas.whole = `${view.width} ${theme.text}`;
      const bins = new Uint32Array(Math.ceil(wide / 2));
      for (let i = 0; i < run.count; i++) bins[Math.min(bins.length - 1, Math.floor((run.sent[i] / (run.ended || 1)) * bins.length))]++;
      const most = bins.reduce((a, b) => Math.max(a, b), 1);
      const ratio = window.devicePixelRatio || 1;
      this.stripped = made("canvas", { width: view.width * ratio, height: tall * ratio });
      const context = this.stripped.getContext("2d");
      context.scale(ratio, ratio);
      context.fillStyle = theme.quiet;
      bins.forEach((count, bin) => context.fillRect(GUTTER + 2 * bin, tall - 4 - 22 * (count / most), 1.5, 22 * (count / most)));
      context.fillStyle = theme.band;
      for (const band of run.bands) context.fillRect(place(band.start), 0, Math.max(2, place(band.end) - place(band.start)), tall);
      context.fillStyle = theme.alarm;
      run.spans.what.forEach((what, i) => what === "down" && context.fillRect(place(run.spans.start[i]), tall - 3, Math.max(2, place(run.spans.end[i]) - place(run.spans.start[i])), 3));
      if (run.broken && run.broken.time !== null) context.fillRect(place(run.broken.time) - 1, 0, 2, tall);
      canvas.width = this.stripped.width;
      canvas.height = this.stripped.height;
      canvas.style.width = `${view.width}px`;
      canvas.style.height = `${tall}px`;
    }
    const context = canvas.getContext("2d");
    const ratio = window.devicePixelRatio || 1;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.drawImage(this.stripped, 0, 0);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.strokeStyle = theme.text;
    context.lineWidth = 1.5;
    const from = Math.max(place(view.start), GUTTER);
    context.strokeRect(from, 1, Math.max(3, Math.min(place(view.end), view.width - 1) - from), tall - 2);
  }

  /** The moving part: the time, what is picked or under the mouse, and causes and effects. */
  drawOver({ now, picked, hovered, causes, effects }) {
    const context = this.over.getContext("2d");
    const { view, theme } = this;
    context.clearRect(0, 0, view.width, view.height);
    context.save();
    context.beginPath();
    context.rect(GUTTER - 6, 0, view.width, view.height);
    context.clip();
    if (effects) this._trail(context, effects, "#0072B2", "#56B4E9");
    if (causes) this._trail(context, causes, "#D55E00", "#E69F00");
    for (const [what, width] of [
      [picked, 2.6],
      [hovered, 2],
    ])
      if (what) this._picked(context, what, width);
    const x = view.x(now);
    context.strokeStyle = context.fillStyle = theme.picked;
    context.lineWidth = 1;
    context.setLineDash([]);
    context.beginPath();
    context.moveTo(x, AXIS - 8);
    context.lineTo(x, view.height);
    context.stroke();
    context.beginPath();
    context.moveTo(x, AXIS);
    context.lineTo(x - 5, AXIS - 9);
    context.lineTo(x + 5, AXIS - 9);
    context.fill();
    context.restore();
  }

  _trail(context, { steps, messages }, light, dark) {
    const { view, run, theme } = this;
    const colour = theme === DARK ? dark : light;
    for (const i of messages)
      if (view.laneOf[run.src[i]] && view.laneOf[run.dst[i]] && run.arrival[i] >= view.start && run.sent[i] <= view.end)
        this._arrow(context, i, colour, 2.4);
    context.fillStyle = colour;
    for (const step of steps) {
      const lane = view.laneOf[run.steps.node[step]];
      if (!lane) continue;
      context.beginPath();
      context.arc(view.x(run.moments[step]), lane.y - view.scroll, 4.5, 0, 7);
      context.fill();
    }
  }

  _picked(context, { what, at }, width) {
    const { view, run, theme } = this;
    if (what === "message" && view.laneOf[run.src[at]] && view.laneOf[run.dst[at]])
      this._arrow(context, at, theme.picked, width);
    context.strokeStyle = theme.picked;
    context.lineWidth = width - 0.6;
    context.setLineDash([]);
    context.beginPath();
    const lane = what === "step" ? view.laneOf[run.steps.node[at]] : what === "mark" ? view.laneOf[run.marks.node[at]] : null;
    if (lane) {
      const time = what === "step" ? run.moments[at] : run.marks.time[at];
      context.arc(view.x(time), lane.y - view.scroll, 7, 0, 7);
    }
    const client = what === "operation" && view.laneOf[run.operations.client[at]];
    if (client) {
      const end = Number.isNaN(run.returnAt[at]) ? run.ended : run.returnAt[at];
      const y = client.y + 8 + 9 * run.rowsOfOperations[at] - view.scroll;
      context.rect(view.x(run.callAt[at]) - 1, y - 1, Math.max(3, view.x(end) - view.x(run.callAt[at]) + 2), 9);
    }
    context.stroke();
  }

  /** What is at a point: {what, at}; null: nothing. */
  hit(x, y) {
    const { view, run } = this;
    if (x < GUTTER || y < AXIS) return null;
    const lane = view.lanes.find((each) => y + view.scroll >= each.top && y + view.scroll < each.top + each.height);
    const near = lane && Math.abs(y + view.scroll - lane.y) <= 6;
    if (near) {
      const mark = nearest(run.marks.time, (i) => run.marks.node[i] === lane.node, view, x, 6);
      if (mark >= 0) return { what: "mark", at: mark };
      if (run.steps) {
        const mine = run.stepsOf(lane.node);
        const step = nearestSorted(mine, (i) => run.moments[mine[i]], view, x, 6);
        if (step >= 0) return { what: "step", at: mine[step] };
      }
    }
    if (lane && lane.bars) {
      const row = Math.floor((y + view.scroll - lane.y - 7) / 9);
      const time = view.time(x);
      for (let i = 0; i < run.operations.kind.length; i++)
        if (view.operations[i] && run.operations.client[i] === lane.node && run.rowsOfOperations[i] === row)
          if (run.callAt[i] <= view.time(x + 2) && (Number.isNaN(run.returnAt[i]) || run.returnAt[i] >= view.time(x - 2)))
            if (time <= run.ended) return { what: "operation", at: i };
    }
    if (this.counted) return lane ? { what: "bin", at: Math.floor((x - GUTTER) / BIN), node: lane.node } : null;
    const message = this._nearestMessage(x, y);
    if (message >= 0) return { what: "message", at: message };
    if (near) return { what: "lane", at: lane.node, time: view.time(x) };
    const band = run.bands.findIndex((each) => view.x(each.start) <= x && x <= view.x(each.end));
    return band >= 0 ? { what: "band", at: band } : null;
  }

  _nearestMessage(x, y) {
    const { view, run } = this;
    let found = -1;
    let least = 7;
    for (const i of this.visible) {
      const [x0, y0] = [view.x(run.sent[i]), view.y(run.src[i])];
      const stop = STOPS[run.messages.fates[run.fate[i]]] ?? 1;
      const dx = (view.x(run.arrival[i]) - x0) * stop;
      const dy = (view.y(run.dst[i]) - y0) * stop;
      const along = Math.max(0, Math.min(1, ((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy || 1)));
      const distance = Math.hypot(x - x0 - along * dx, y - y0 - along * dy);
      if (distance < least) [found, least] = [i, distance];
    }
    return found;
  }
}

function nearest(times, fits, view, x, most) {
  let found = -1;
  let least = most;
  for (let i = 0; i < times.length; i++) {
    const distance = Math.abs(view.x(times[i]) - x);
    if (distance < least && fits(i)) [found, least] = [i, distance];
  }
  return found;
}

function nearestSorted(items, timeOf, view, x, most) {
  const time = view.time(x);
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (timeOf(middle) <= time) low = middle + 1;
    else high = middle;
  }
  let found = -1;
  let least = most;
  for (const i of [low - 1, low]) {
    if (i < 0 || i >= items.length) continue;
    const distance = Math.abs(view.x(timeOf(i)) - x);
    if (distance < least) [found, least] = [i, distance];
  }
  return found;
}

// The page around the picture

const STYLE = `
:host { display: block; font: 14px/1.45 system-ui, sans-serif; color: inherit; }
.bar { display: flex; flex-wrap: wrap; gap: 4px 6px; align-items: center; margin: 4px 0; }
button, input, select { font: inherit; color: inherit; background: transparent; border: 1px solid #8888; border-radius: 4px; padding: 2px 8px; }
select option { color: #111; background: #fff; }
button:hover { background: #8883; }
button[aria-pressed="false"] { opacity: .45; text-decoration: line-through; }
button:focus-visible, input:focus-visible, select:focus-visible, .picture:focus-visible { outline: 2px solid #56B4E9; outline-offset: 1px; }
.chip::before { content: ""; display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 5px; background: var(--colour); }
.picture { position: relative; overflow: hidden; border: 1px solid #8885; border-radius: 4px; touch-action: pan-y; cursor: crosshair; }
.picture canvas { display: block; }
.picture canvas + canvas { position: absolute; inset: 0; }
.strip { display: block; margin-top: 3px; cursor: pointer; touch-action: none; }
.tip { position: absolute; pointer-events: none; max-width: 380px; padding: 5px 8px; border: 1px solid #8888; border-radius: 4px; font-size: 12px; white-space: pre-wrap; overflow-wrap: anywhere; z-index: 2; }
.time { font-variant-numeric: tabular-nums; min-width: 9em; text-align: center; }
.legend { display: flex; flex-wrap: wrap; gap: 0 14px; font-size: 12px; opacity: .85; }
.legend span { display: inline-flex; align-items: center; gap: 5px; }
.notes { margin: 4px 0; font-style: italic; }
.broken { margin: 4px 0; padding: 4px 8px; border-left: 4px solid #D55E00; white-space: pre-wrap; overflow-wrap: anywhere; }
.told { min-height: 3.2em; max-height: 9em; overflow: auto; margin: 6px 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.states { display: grid; grid-template-columns: repeat(auto-fill, minmax(250px, 1fr)); gap: 6px; align-items: start; }
.states details { border: 1px solid #8885; border-radius: 4px; padding: 2px 8px; min-width: 0; }
.states details.here { border-color: currentColor; }
.states summary { cursor: pointer; font-weight: 600; }
.states table { width: 100%; border-collapse: collapse; font-size: 12px; table-layout: fixed; }
.states th { text-align: left; font-weight: normal; opacity: .75; width: 38%; vertical-align: top; overflow-wrap: anywhere; padding: 0 6px 0 0; }
.states td div { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 3; overflow: hidden; }
.states td { overflow-wrap: anywhere; padding: 0; }
.states tr.changed td { font-weight: 700; }
.states tr.changed th::before { content: "▸ "; }
.key { font-size: 12px; opacity: .75; }
.filters summary { cursor: pointer; }
`;

function made(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties))
    if (name in element && name !== "list") element[name] = value;
    else element.setAttribute(name, value);
  element.append(...children);
  return element;
}

class Page {
  constructor(root, drawn) {
    this.run = new Run(drawn);
    this.view = new View(this.run);
    this.at = Math.max(0, upTo(this.run.moments, this.view.start) - 1); // the place of the current moment
    this.now = Math.max(0, this.view.start);
    this.picked = this.hovered = this.causes = this.effects = null;
    this.hits = [];
    this.hit = -1;
    this.detailed = null;
    this.frames = []; // milliseconds that drawing took
    this.host = root;
    this.shadow = root.shadowRoot || root.attachShadow({ mode: "open" });
    this._build();
    this.picture = new Picture(this.run, this.view, this.base, this.over);
    this._listen();
    this.themed();
    this.resized();
    this.paint();
    this.painted = performance.now();
  }

  /** The contents and states, which are read after the first painting. */
  detail(written) {
    this.detailed = new Details(written);
    this.states = new States(this.run, this.detailed);
    this.go(this.at, false);
  }

  // Building

  _build() {
    const { run } = this;
    this.base = made("canvas");
    this.over = made("canvas");
    this.strip = made("canvas", { className: "strip", title: "the whole run: click or drag to go there" });
    this.tip = made("div", { className: "tip", hidden: true });
    this.frame = made("div", { className: "picture", tabIndex: 0, role: "application", "aria-roledescription": "space-time diagram" }, this.base, this.over, this.tip);
    this.frame.setAttribute("aria-label", `Space-time diagram of ${run.title || "a run"}: ${run.nodes.length} nodes, ${run.count.toLocaleString("en")} messages. Keys: left and right move the view, plus and minus zoom, comma and full stop step back and forth, space plays, c follows causes, e effects, slash searches.`);
    this.time = made("output", { className: "time" });
    this.told = made("div", { className: "told" });
    this.told.setAttribute("aria-live", "polite");
    this.cards = made("div", { className: "states" });
    const all = [this._controls(), this._filters(), this._legend()];
    const notes = run.notes.map((text) => made("p", { className: "notes", textContent: text }));
    const broken = run.broken ? [made("p", { className: "broken", textContent: run.broken.text })] : [];
    const help = made("p", { className: "key", textContent: "Drag to move. Click into the picture, then the wheel zooms and shift with the wheel moves. Keys: ← → ↑ ↓ move, + − zoom, 0 all, , . step, space play, c causes, e effects, / search, Esc clears." });
    this.shadow.replaceChildren(made("style", { textContent: STYLE }), ...notes, ...broken, ...all, this.frame, this.strip, help, this.told, this.cards);
    this._buildCards();
  }

  _button(text, label, act) {
    const button = made("button", { type: "button", textContent: text, title: label, onclick: act });
    button.setAttribute("aria-label", label);
    return button;
  }

  _controls() {
    this.playing = this._button("▶", "play", () => this.play());
    this.speed = made("select", { title: "speed: seconds of the screen for one second of the run" });
    this.speed.setAttribute("aria-label", "speed");
    for (const [text, factor] of [["1/1000", 0.001], ["1/100", 0.01], ["1/10", 0.1], ["real time", 1], ["10×", 10]])
      this.speed.append(made("option", { value: String(factor), textContent: text }));
    this.speed.value = this.run.ended > 20 ? "1" : this.run.ended > 0.5 ? "0.1" : "0.01";
    this.query = made("input", { type: "search", placeholder: "search", size: 18, onkeydown: (event) => this._searchKey(event) });
    this.query.setAttribute("aria-label", "search in kinds, contents, states, operations");
    this.found = made("span");
    this.found.setAttribute("role", "status");
    return made(
      "div",
      { className: "bar" },
      this._button("|◀", "to the beginning", () => this.go(0)),
      this._button("◀", "step back", () => this.go(this.at - 1)),
      this.playing,
      this._button("▶|", "step forth", () => this.go(this.at + 1)),
      this.speed,
      this.time,
      this._button("−", "zoom out", () => this.zoom(1.5)),
      this._button("+", "zoom in", () => this.zoom(1 / 1.5)),
      this._button("all", "show all of the run", () => (this.view.fit(), this.paint())),
      this._button("causes", "follow causes backwards", () => this.follow("causes")),
      this._button("effects", "follow effects forwards", () => this.follow("effects")),
      this.query,
      this.found,
    );
  }

  _filters() {
    const { run, view } = this;
    const kinds = made("div", { className: "bar" });
    run.messages.kinds.forEach((kind, i) => {
      const chip = this._toggle(kind, () => ((view.kinds[i] = !view.kinds[i]), view.kinds[i]));
      chip.classList.add("chip");
      chip.dataset.kind = String(i);
      kinds.append(chip);
    });
    const nodes = made("div", { className: "bar" });
    run.nodes.forEach((node, i) => nodes.append(this._toggle(node.name, () => ((view.nodes[i] = !view.nodes[i]), view.nodes[i]))));
    const clients = run.nodes.some((node) => node.role === "client");
    if (clients && run.nodes.length > 2)
      nodes.append(this._button("only members", "hide the clients' lanes", () => this._onlyMembers(nodes)));
    const keys = [...new Set(run.operations.key.filter(Boolean))].sort();
    this.keys = made("input", { size: 12, placeholder: "key", onchange: () => this.filter() });
    this.keys.setAttribute("aria-label", "only messages and operations of this key");
    const listed = made("datalist", { id: "keys" }, ...keys.slice(0, 500).map((key) => made("option", { value: key })));
    this.keys.setAttribute("list", "keys");
    this.fates = made("select", { onchange: () => this.filter() }, made("option", { value: "", textContent: "all fates" }));
    this.fates.setAttribute("aria-label", "only messages with this fate");
    for (const fate of Object.keys(MEANINGS)) if (this._has(fate)) this.fates.append(made("option", { value: fate, textContent: fate }));
    const row = made("div", { className: "bar" }, this.fates, ...(keys.length && run.full ? [this.keys, listed] : []));
    const box = made("details", { className: "filters" }, made("summary", { textContent: "Filter by node, key, fate" }), nodes, row);
    return made("div", {}, kinds, box);
  }

  _toggle(text, act) {
    const button = made("button", { type: "button", textContent: text });
    button.setAttribute("aria-pressed", "true");
    button.onclick = () => {
      button.setAttribute("aria-pressed", String(act()));
      this.filter();
    };
    return button;
  }

  _onlyMembers(box) {
    const { run, view } = this;
    const on = !run.nodes.some((node, i) => node.role === "client" && view.nodes[i]);
    run.nodes.forEach((node, i) => {
      if (node.role === "client") view.nodes[i] = on;
      box.children[i].setAttribute("aria-pressed", String(view.nodes[i]));
    });
    this.filter();
  }

  _has(fate) {
    return fate === "late" ? this.run.messages.late.length > 0 : this.run.messages.fates.includes(fate);
  }

  _legend() {
    this.legend = made("div", { className: "legend" });
    return this.legend;
  }

  _drawLegend() {
    const { run, picture } = this;
    const { theme } = picture;
    const samples = [];
    for (const fate of Object.keys(MEANINGS)) {
      if (!this._has(fate)) continue;
      const sample = this._sample((context) => arrow(context, fate, 2, 7, 42, 7, theme.text, theme.back));
      samples.push(made("span", {}, sample, MEANINGS[fate]));
    }
    const roles = [...new Set(run.spans.what)];
    for (const role of roles) {
      const sample = this._sample((context) => this._sampleRole(context, role));
      samples.push(made("span", {}, sample, role));
    }
    if (run.bands.length)
      samples.push(made("span", {}, this._sample((context) => ((context.fillStyle = theme.band), context.fillRect(2, 0, 40, 14))), "partition"));
    if (run.marks.time.length) samples.push(made("span", { textContent: "★ event" }));
    this.legend.replaceChildren(...samples);
    for (const chip of this.shadow.querySelectorAll(".chip")) chip.style.setProperty("--colour", picture.colourOf(Number(chip.dataset.kind)));
    this.tip.style.background = theme.back;
    this.tip.style.color = theme.text;
  }

  _sampleRole(context, role) {
    const { theme } = this.picture;
    context.strokeStyle = role === "down" ? theme.alarm : theme.text;
    if (role === "down" || role === "paused") {
      context.strokeRect(3, 2, 38, 10);
      if (role === "down") context.clearRect(5, 0, 34, 14);
      for (let x = 5; role === "paused" && x < 36; x += 6) {
        context.moveTo(x, 12);
        context.lineTo(x + 6, 2);
      }
      context.stroke();
    } else {
      context.fillStyle = this.run.roles[role] ?? theme.line;
      context.fillRect(2, 3, 40, 8);
    }
  }

  _sample(draw) {
    const canvas = made("canvas", { width: 88, height: 28 });
    canvas.style.width = "44px";
    canvas.style.height = "14px";
    const context = canvas.getContext("2d");
    context.scale(2, 2);
    draw(context);
    return canvas;
  }

  // Listening

  _listen() {
    const { frame, view } = this;
    frame.addEventListener("wheel", (event) => this._wheel(event), { passive: false });
    frame.addEventListener("keydown", (event) => this._key(event));
    frame.addEventListener("pointerdown", (event) => {
      this.dragged = { x: event.clientX, y: event.clientY, moved: 0 };
      frame.setPointerCapture(event.pointerId);
    });
    frame.addEventListener("pointermove", (event) => this._move(event));
    frame.addEventListener("pointerup", (event) => {
      if (this.dragged && this.dragged.moved < 4) this._click(event);
      this.dragged = null;
    });
    const go = (event) => {
      if (!(event.buttons & 1)) return;
      const box = this.strip.getBoundingClientRect();
      view.center(((event.clientX - box.left - GUTTER) / (view.width - GUTTER)) * this.run.ended);
      this.paint();
    };
    for (const name of ["pointerdown", "pointermove"]) this.strip.addEventListener(name, go);
    frame.addEventListener("pointerleave", () => this._hover(null));
    frame.addEventListener("dblclick", (event) => this.zoom(0.4, view.time(this._place(event)[0])));
    this.watched = new ResizeObserver(() => this.resized());
    this.watched.observe(this.host);
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.rethemed = () => this.themed();
    this.scheme.addEventListener("change", this.rethemed);
  }

  _place(event) {
    const box = this.over.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  _wheel(event) {
    const { view } = this;
    const inside = this.shadow.activeElement === this.frame;
    const sideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
    const [x] = this._place(event);
    if (event.ctrlKey || event.metaKey || (inside && !sideways)) {
      event.preventDefault();
      this.zoom(Math.exp(Math.sign(event.deltaY) * Math.min(0.35, Math.abs(event.deltaY) / 300)), view.time(x));
    } else if (sideways) {
      const moved = view.pan((event.deltaX || event.deltaY) / (view.width - GUTTER));
      if (moved || inside) event.preventDefault();
      if (moved) this.paint();
    }
  }

  _key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { view } = this;
    const acts = {
      ArrowLeft: () => (view.pan(-0.1), this.paint()),
      ArrowRight: () => (view.pan(0.1), this.paint()),
      ArrowUp: () => this._scroll(-40),
      ArrowDown: () => this._scroll(40),
      PageUp: () => (view.pan(-0.9), this.paint()),
      PageDown: () => (view.pan(0.9), this.paint()),
      "+": () => this.zoom(1 / 1.5),
      "=": () => this.zoom(1 / 1.5),
      "-": () => this.zoom(1.5),
      0: () => (view.fit(), this.paint()),
      ",": () => this.go(this.at - 1),
      ".": () => this.go(this.at + 1),
      Home: () => this.go(0),
      End: () => this.go(this.run.moments.length - 1),
      " ": () => this.play(),
      c: () => this.follow("causes"),
      e: () => this.follow("effects"),
      "/": () => this.query.focus(),
      Escape: () => this.clear(),
    };
    if (!acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  }

  _scroll(by) {
    this.view.scroll += by;
    this.view.layOut();
    this.paint();
  }

  _move(event) {
    const { view } = this;
    const [x, y] = this._place(event);
    if (!this.dragged) return this._hover(this.picture.hit(x, y), x, y);
    const dx = event.clientX - this.dragged.x;
    const dy = event.clientY - this.dragged.y;
    this.dragged.moved += Math.abs(dx) + Math.abs(dy);
    if (this.dragged.moved < 4) return undefined;
    view.pan(-dx / (view.width - GUTTER));
    view.scroll -= dy;
    view.layOut();
    this.dragged.x = event.clientX;
    this.dragged.y = event.clientY;
    this._hover(null);
    this.paint();
    return undefined;
  }

  _hover(what, x = 0, y = 0) {
    const before = JSON.stringify(this.hovered);
    this.hovered = what;
    if (JSON.stringify(what) !== before) this.paintOver();
    this.tip.hidden = !what;
    if (!what) return;
    this.tip.textContent = shorten(this.tell(what), 700);
    const { view } = this;
    this.tip.style.left = x > view.width / 2 ? "auto" : `${x + 14}px`;
    this.tip.style.right = x > view.width / 2 ? `${view.width - x + 14}px` : "auto";
    this.tip.style.top = y > view.height / 2 ? "auto" : `${y + 10}px`;
    this.tip.style.bottom = y > view.height / 2 ? `${view.height - y + 10}px` : "auto";
  }

  _click(event) {
    const [x, y] = this._place(event);
    const what = this.picture.hit(x, y);
    if (what && what.what !== "bin" && what.what !== "lane" && what.what !== "band") this.pick(what);
    else if (x > GUTTER) this.goTime(this.view.time(x));
  }

  // Doing

  themed() {
    this.picture.theme = onDark(this.host) ? DARK : LIGHT;
    this._drawLegend();
    if (this.painted) this.paint();
  }

  resized() {
    const width = Math.floor(this.host.clientWidth || 900) - 2;
    if (width === this.picture.sized && this.view.height === this.picture.tall) return;
    this.picture.sized = width;
    this.picture.tall = this.view.height;
    this.picture.resize(width);
    if (this.painted) this.paint(true);
  }

  /** Draw at the next frame of the screen; at once before the first painting and where asked. */
  paint(atOnce = !this.painted) {
    if (!atOnce) {
      this.due ??= requestAnimationFrame(() => this.paint(true));
      return;
    }
    if (this.due) cancelAnimationFrame(this.due);
    this.due = null;
    this.picture.draw(Boolean(this.causes || this.effects));
    this.picture.drawStrip(this.strip);
    this.frames.push(this.picture.cost);
    if (this.frames.length > 1000) this.frames.shift();
    this.paintOver();
  }

  paintOver() {
    this.picture.drawOver(this);
    this.time.textContent = timeText(this.now, (this.view.end - this.view.start) / 1000);
  }

  filter() {
    this.view.key = this.keys ? this.keys.value.trim() : "";
    this.view.fate = this.fates.value;
    this.view.filter();
    this.resized();
    this.paint();
  }

  zoom(factor, at = this._inside(this.now) ? this.now : undefined) {
    this.view.zoom(factor, at);
    this.paint();
  }

  _inside(time) {
    return time >= this.view.start && time <= this.view.end;
  }

  /** Go to a moment, by its place: a step of a node, or without a full trace a time at which something happened. */
  go(place, show = true) {
    const last = this.run.moments.length - 1;
    this.at = Math.max(0, Math.min(last, place));
    this.now = last < 0 ? 0 : this.run.moments[this.at];
    if (show && !this._inside(this.now)) {
      this.view.center(this.now);
      this.paint();
    }
    if (this.run.steps && last >= 0) this.picked = { what: "step", at: this.at };
    this._tellPicked();
    this.showStates();
    this.paintOver();
  }

  /** Go to the last moment up to a time (seconds). */
  goTime(time) {
    this.go(upTo(this.run.moments, time) - 1, false);
    this.now = Math.max(0, Math.min(time, this.run.ended));
    this.paintOver();
  }

  /** Pick a message, a step, an operation or an event, and go to its moment. */
  pick(what) {
    const { run } = this;
    const { at } = what;
    const time = { message: () => run.sent[at], step: () => run.moments[at], operation: () => run.callAt[at], mark: () => run.marks.time[at] }[what.what]();
    let place = upTo(run.moments, time) - 1;
    if (what.what === "step") place = at;
    if (what.what === "message" && run.steps) place = run.handledBy[at] >= 0 ? run.handledBy[at] : Math.max(run.messages.step[at], 0);
    if (what.what === "operation" && run.steps && run.operations.call_step) place = run.operations.call_step[at];
    this.go(place, false);
    this.picked = what;
    this._tellPicked();
    this.paintOver();
  }

  _tellPicked() {
    this.told.textContent = this.picked ? this.tell(this.picked) : "";
  }

  clear() {
    this.picked = this.causes = this.effects = null;
    this._tellPicked();
    this.paint();
  }

  /** Show the causes or the effects of what is picked; a second time: hide them. */
  follow(which) {
    if (!this.run.steps) {
      this.told.textContent = this.run.notes[0];
      return;
    }
    if (this[which]) this[which] = null;
    else {
      const step = this._stepOf(this.picked ?? { what: "step", at: this.at }, which);
      if (step < 0) this.told.textContent = `No ${which} are known of this.`;
      else this[which] = this.run[which](step);
      if (this[which]) this.told.textContent = `${this._countOf(which)}\n${this.tell({ what: "step", at: step })}`;
    }
    this.paint();
  }

  _countOf(which) {
    const { steps, messages } = this[which];
    const cut = steps.length >= MOST_EFFECTS ? ` (cut off at ${MOST_EFFECTS})` : "";
    const what = which === "causes" ? "led to this step" : "follow from this step";
    return `${(steps.length - 1).toLocaleString("en")} steps and ${messages.length.toLocaleString("en")} messages ${what}${cut}.`;
  }

  _stepOf({ what, at }, which) {
    const { run } = this;
    if (what === "step") return at;
    if (what === "message") return which === "causes" || run.handledBy[at] < 0 ? run.messages.step[at] : run.handledBy[at];
    if (what === "operation") return run.operations[which === "causes" ? "return_step" : "call_step"][at];
    return this.at;
  }

  play() {
    if (this.ticking) {
      cancelAnimationFrame(this.ticking);
      this.ticking = 0;
      this.playing.textContent = "▶";
      return;
    }
    if (this.now >= this.run.moments[this.run.moments.length - 1]) this.go(0);
    this.playing.textContent = "❚❚";
    let before = performance.now();
    let shown = 0;
    const tick = (time) => {
      this.ticking = requestAnimationFrame(tick);
      this.now += (Math.max(0, time - before) / 1000) * Number(this.speed.value);
      before = time;
      const { view, run } = this;
      const place = upTo(run.moments, this.now) - 1;
      if (this.now > view.start + 0.8 * (view.end - view.start) && view.pan((this.now - view.start) / (view.end - view.start) - 0.5)) this.paint();
      if (place !== this.at && time - shown > 120) {
        shown = time;
        const { now } = this;
        this.go(place, false);
        this.now = now;
      }
      this.paintOver();
      if (this.now < run.ended) return;
      this.play();
      this.go(run.moments.length - 1);
    };
    this.ticking = requestAnimationFrame(tick);
  }

  // Searching

  _searchKey(event) {
    if (event.key === "Escape") this.frame.focus();
    if (event.key !== "Enter") return;
    event.preventDefault();
    if (this.query.value !== this.searched) this.search(this.query.value);
    else this._toHit(this.hit + (event.shiftKey ? -1 : 1));
  }

  /** Find a text in messages, steps, operations and events; goes to the first hit after the current moment. */
  search(text) {
    this.searched = text;
    const wanted = text.trim().toLowerCase();
    const { run } = this;
    const found = [];
    const add = (what, count, timeOf, textOf) => {
      for (let at = 0; at < count && found.length < MOST_HITS; at++)
        if (textOf(at).toLowerCase().includes(wanted)) found.push({ what, at, time: timeOf(at) });
    };
    if (wanted) {
      const name = (node) => (node < 0 ? "" : run.nodes[node].name);
      const { operations, marks } = run;
      add("operation", operations.kind.length, (i) => run.callAt[i], (i) => `${operations.kind[i]} ${operations.key[i]} ${operations.value[i]} ${operations.result[i]} ${operations.status[i]}`);
      add("mark", marks.event.length, (i) => marks.time[i], (i) => `${marks.event[i]} ${name(marks.node[i])} ${marks.detail[i]}`);
      add("message", run.count, (i) => run.sent[i], (i) => `${run.messages.kinds[run.kind[i]]} ${name(run.src[i])} ${name(run.dst[i])} ${run.fateOf(i)} ${this._contentText(i)}`);
      if (run.steps) add("step", run.moments.length, (i) => run.moments[i], (i) => `${run.steps.handlers[run.steps.handler[i]]} ${name(run.steps.node[i])} ${this._changeText(i)}`);
    }
    found.sort((a, b) => a.time - b.time);
    this.hits = found;
    const next = found.findIndex((hit) => hit.time >= this.now);
    this._toHit(next < 0 ? 0 : next);
  }

  _toHit(place) {
    const count = this.hits.length;
    if (!count) {
      this.found.textContent = this.searched ? "nothing found" : "";
      return;
    }
    this.hit = (place + count) % count;
    const more = count >= MOST_HITS ? "+" : "";
    this.found.textContent = `${(this.hit + 1).toLocaleString("en")} of ${count.toLocaleString("en")}${more}`;
    const hit = this.hits[this.hit];
    if (!this._inside(hit.time)) this.view.center(hit.time);
    this.pick({ what: hit.what, at: hit.at });
    this.paint();
  }

  // Telling

  _contentText(message) {
    const content = this.detailed && this.detailed.content(message);
    return content ? brief(content) : "";
  }

  _changeText(step) {
    const change = this.detailed && this.detailed.change(step);
    return change ? brief(change) : "";
  }

  /** What is picked or under the mouse, in words. */
  tell({ what, at, node, time }) {
    if (what === "message") return this._tellMessage(at);
    if (what === "step") return this._tellStep(at);
    if (what === "operation") return this._tellOperation(at);
    if (what === "bin") return this._tellBin(node, at);
    const { run } = this;
    if (what === "band") {
      const band = run.bands[at];
      return `partition: ${band.label}\n${timeText(band.start)} to ${timeText(band.end)}`;
    }
    if (what === "lane") return `${run.nodes[at].name} at ${timeText(time)}: ${run.roleAt(at, time) || "no role known"}`;
    const detail = run.marks.detail[at];
    return `${run.marks.event[at]} at ${timeText(run.marks.time[at])}${detail && detail !== "{}" ? `\n${brief(JSON.parse(detail))}` : ""}`;
  }

  _tellMessage(at) {
    const { run } = this;
    const lines = [`${run.messages.kinds[run.kind[at]]}  ${run.nodes[run.src[at]].name} → ${run.nodes[run.dst[at]].name}  (${run.messages.bytes[at].toLocaleString("en")} bytes)`];
    const took = run.delivered[at] - run.sent[at];
    lines.push(`sent at ${timeText(run.sent[at], 1e-6)}, ${MEANINGS[run.fateOf(at)]}${took >= 0 ? `, after ${timeText(took)}` : ""}`);
    const content = this._contentText(at);
    if (content) lines.push(content);
    const about = run.messages.about ? run.messages.about[at] : [];
    if (about.length) lines.push(`about ${about.slice(0, 4).map((row) => this._named(row)).join("; ")}${about.length > 4 ? ` and ${about.length - 4} more` : ""}`);
    const step = run.steps ? run.handledBy[at] : -1;
    if (step >= 0) lines.push(`handled by ${run.steps.handlers[run.steps.handler[step]]}: ${this._changeText(step) || "no change of state"}`);
    return lines.join("\n");
  }

  _tellStep(at) {
    const { run } = this;
    const { steps } = run;
    const message = steps.message[at];
    const cause = message >= 0 ? `${run.messages.kinds[run.kind[message]]} from ${run.nodes[run.src[message]].name}` : steps.causes[steps.cause[at]];
    const change = this._changeText(at);
    const told = !run.states ? "" : change && change !== "{}" ? `changed ${change.slice(1, -1)}` : "changed nothing";
    return `${run.nodes[steps.node[at]].name}  ${steps.handlers[steps.handler[at]]}  (step ${at}, cause: ${cause})\nat ${timeText(run.moments[at], 1e-6)}${told ? `\n${told}` : ""}`;
  }

  _named(row) {
    const { kind, key, value } = this.run.operations;
    return `${kind[row]} ${key[row]}${value[row] ? ` ${value[row]}` : ""}`;
  }

  _tellOperation(at) {
    const { run } = this;
    const { operations } = run;
    const open = Number.isNaN(run.returnAt[at]);
    const end = open ? "never answered" : `${operations.status[at]} after ${timeText(run.returnAt[at] - run.callAt[at])}`;
    const by = operations.node[at] >= 0 ? `, answered by ${run.nodes[operations.node[at]].name}` : "";
    const result = operations.result[at] ? `\nresult ${operations.result[at]}` : "";
    return `${run.nodes[operations.client[at]].name}: ${this._named(at)}\ncalled at ${timeText(run.callAt[at], 1e-6)}, ${end}${by}${result}`;
  }

  _tellBin(node, bin) {
    const { run, picture } = this;
    const { counts, kinds, size } = picture.binned;
    const lines = run.messages.kinds.map((kind, i) => [counts[node * size + bin * kinds + i], kind]).filter(([count]) => count);
    return `${run.nodes[node].name} sent here\n${lines.map(([count, kind]) => `${count} ${kind}`).join("\n") || "nothing"}\n(zoom in to see each message)`;
  }

  // States

  _buildCards() {
    const { run } = this;
    this.boxes = run.nodes.map((node, i) => {
      const title = made("summary");
      const table = made("table");
      const box = made("details", { open: node.role !== "client" && i < 9, ontoggle: () => this._showState(i) }, title, table);
      box.dataset.node = node.name;
      return { box, title, table, shown: null };
    });
    this.cards.replaceChildren(...this.boxes.map(({ box }) => box));
  }

  showStates() {
    this.boxes.forEach((_, node) => this._showState(node));
  }

  /** The state of a node (its name) at the current moment; null: it was down, or no states are known. */
  stateOf(name) {
    return this.states && this.run.steps ? this.states.at(this.run.nodes.findIndex((node) => node.name === name), this.at) : null;
  }

  _showState(node) {
    const { run, at } = this;
    const card = this.boxes[node];
    const state = this.states && run.steps ? this.states.at(node, at) : null;
    const here = Boolean(run.steps) && run.steps.node[at] === node;
    const what = run.roleAt(node, this.now);
    card.title.textContent = `${run.nodes[node].name}${what ? ` · ${what}` : ""}`;
    card.box.classList.toggle("here", here);
    if (!card.box.open) return;
    const changed = here && this.detailed ? (this.detailed.change(at) ?? {}) : {};
    const rows = Object.entries(state ?? {}).map(([name, value]) => {
      const text = brief(value);
      const cell = made("td", { title: text.length > 60 ? shorten(text, 3000) : "" }, made("div", { textContent: shorten(text, 300) }));
      return made("tr", { className: name in changed ? "changed" : "" }, made("th", { textContent: name, scope: "row" }), cell);
    });
    card.table.replaceChildren(...rows);
  }

  remove() {
    if (this.ticking) this.play();
    this.watched.disconnect();
    this.scheme.removeEventListener("change", this.rethemed);
  }
}

/** Show a run in an element; `details` may come later (`page.detail`). Returns the page. */
export function mount(element, drawn, details = null) {
  const page = new Page(element, drawn);
  if (details) page.detail(details);
  return page;
}

/** Show the packed run that stands in an element's script elements: first the picture, then the details. */
export async function mountPacked(element) {
  const [drawn, details] = [...element.querySelectorAll("script")].map((script) => script.textContent);
  try {
    const page = mount(element, await unpack(drawn));
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    page.detail(await unpack(details));
    return page;
  } catch (error) {
    element.replaceChildren(made("p", { textContent: String(error.message ?? error) }));
    throw error;
  }
}

// For anywidget
export default {
  async render({ model, el }) {
    const element = made("div");
    el.append(element);
    const bytes = (name) => new Uint8Array(model.get(name).buffer, model.get(name).byteOffset, model.get(name).byteLength);
    const page = mount(element, await unpack(bytes("drawn")));
    page.detail(await unpack(bytes("details")));
    return () => page.remove();
  },
};
