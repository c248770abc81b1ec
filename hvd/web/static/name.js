/** Which service this is: its app, the instance that its block is named by, and its version of hvd. */

import { mark, say } from "./dom.js";

/** @param {Document} page @param {string} host where it is reached */
export function addName(page, host) {
  const [name, where, version] = ["service", "host", "version"].map((id) => page.getElementById(id));
  say(where, host);
  return (model) => {
    const { instance, app } = model.service;
    const isOwn = !app || app === "hvd.web.wsgi:app";
    say(name, isOwn ? "" : app);
    mark(name, "title", instance ? `instance ${instance}` : null);
    const isTold = !instance || instance === host.replace(":", "-") || host.startsWith(instance);
    say(where, isTold ? host : `${host} · ${instance}`);
    if (model.version) say(version, `hvd ${model.version}`);
  };
}
