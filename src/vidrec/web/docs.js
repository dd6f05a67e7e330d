// Draws /openapi.json as a page, with nothing from elsewhere.

const $ = (id) => document.getElementById(id);

function element(name, { text = "", className = "" } = {}, ...children) {
  const node = document.createElement(name);
  if (text) node.textContent = text;
  if (className) node.className = className;
  node.append(...children);
  return node;
}

function resolve(spec, schema) {
  return schema?.$ref ? spec.components.schemas[schema.$ref.split("/").pop()] : schema;
}

function typeOf(spec, schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) return choices.map((s) => typeOf(spec, s)).join(" | ");
  if (schema.enum) return schema.enum.map((v) => JSON.stringify(v)).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.type === "array") return `${typeOf(spec, schema.items)}[]`;
  return [schema.type, schema.format && `(${schema.format})`].filter(Boolean).join(" ") || "any";
}

function limits(schema) {
  const all = { ...schema, ...(schema?.anyOf?.[0] ?? {}) };
  const words = { minimum: "from", maximum: "to", minLength: "length from", maxLength: "length to", minItems: "items from", maxItems: "items to", default: "default" };
  return Object.entries(words).filter(([key]) => all[key] !== undefined && all[key] !== null && typeof all[key] !== "object")
    .map(([key, word]) => `${word} ${all[key]}`).join(", ");
}

function table(heads, rows) {
  const head = element("tr", {}, ...heads.map((text) => element("th", { text })));
  const body = rows.map((cells) => element("tr", {}, ...cells.map((text) => element("td", { text }))));
  return element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
}

function members(spec, schema) {
  const found = resolve(spec, schema?.oneOf ? schema.oneOf[0] : schema);
  if (!found?.properties) return [];
  const rows = Object.entries(found.properties).map(([name, s]) => [
    name + (found.required?.includes(name) ? " *" : ""), typeOf(spec, s), [s.description, limits(s)].filter(Boolean).join("; "),
  ]);
  return [table(["member", "type", ""], rows)];
}

function operation(spec, path, method, op) {
  const node = element("details", {}, element("summary", {}, element("b", { text: method.toUpperCase() }), path));
  node.append(element("p", { text: op.description ?? op.summary ?? "" }));
  if (op["x-who"]) node.append(element("p", { text: `Where keys are needed: ${op["x-who"]}.` }));
  if (op.parameters?.length) {
    node.append(table(["parameter", "type", ""], op.parameters.map((p) => [
      `${p.name}${p.required ? " *" : ""} (${p.in})`, typeOf(spec, p.schema),
      [p.description ?? p.schema?.description, limits(p.schema)].filter(Boolean).join("; "),
    ])));
  }
  for (const [kind, { schema }] of Object.entries(op.requestBody?.content ?? {})) {
    node.append(element("h3", { text: `Body: ${kind}` }), element("p", { text: typeOf(spec, schema) }), ...members(spec, schema));
  }
  for (const [status, answer] of Object.entries(op.responses)) {
    if (status === "default") continue;
    const schema = answer.content?.["application/json"]?.schema;
    node.append(element("h3", { text: `Answer: ${status} ${schema ? typeOf(spec, schema) : ""}` }), ...members(spec, schema));
  }
  return node;
}

async function draw() {
  const spec = await (await fetch("/openapi.json")).json();
  $("about").textContent = `${spec.info.description} Errors are application/problem+json (RFC 9457) and name the field.`;
  const parts = new Map();
  for (const [path, methods] of Object.entries(spec.paths)) {
    for (const [method, op] of Object.entries(methods)) {
      const tag = op.tags?.[0] ?? "other";
      if (!parts.has(tag)) parts.set(tag, []);
      parts.get(tag).push(operation(spec, path, method, op));
    }
  }
  for (const [tag, nodes] of parts) $("routes").append(element("h2", { text: tag }), ...nodes);
  $("routes").append(element("h2", { text: "shapes" }));
  for (const [name, schema] of Object.entries(spec.components.schemas)) {
    if (!schema.properties) continue;
    $("routes").append(element("details", {}, element("summary", { text: name }), element("p", { text: schema.description ?? "" }), ...members(spec, schema)));
  }
}

draw().catch(() => { $("failure").hidden = false; });
