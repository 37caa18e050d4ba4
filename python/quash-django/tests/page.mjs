// Runs the script of the example's page, with no more of a document than it uses, and prints its lines.
// Arguments: the page's address; the actions: sign-in, call, sign-out, or stop, after which no server answers.
const [url, ...actions] = process.argv.slice(2);
const html = await (await fetch(url)).text();
const script = html.match(/<script>(.*?)<\/script>/s)[1];
const elements = {};
const element = (id) => (elements[id] ??= { textContent: "", addEventListener: (_, listener) => (elements[id].act = listener) });
let base = url;
const fetchHere = (path, options) => fetch(new URL(path, base), options);
class FormData extends Map {
  constructor() {
    super(Object.entries({ email: "page@example.org", password: process.env.PASSWORD }));
  }
}
new Function("document", "location", "fetch", "FormData", script)(
  { getElementById: element }, { origin: new URL(url).origin }, fetchHere, FormData);
for (const action of actions) {
  if (action === "stop") base = "http://127.0.0.1:1";
  else await elements[action].act({ preventDefault() {} });
}
process.stdout.write(elements.answers?.textContent ?? "");
