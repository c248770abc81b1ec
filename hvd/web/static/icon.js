/** The tab's icon: another form and another colour for each state of the daemon, so that it is read without colour too. */

const MARK = 'fill="none" stroke="#fff" stroke-width="4" stroke-linecap="round" stroke-linejoin="round"';

const FORMS = {
  healthy: `<circle cx="16" cy="16" r="15" fill="#146c37"/><path d="M9 17l5 5 9-11" ${MARK}/>`,
  degraded: `<path d="M16 2.5L30 29H2z" fill="#c77700" stroke="#c77700" stroke-width="3" stroke-linejoin="round"/><path d="M16 12v8M16 25.5v.1" ${MARK}/>`,
  unhealthy: `<path d="M10 1h12l9 9v12l-9 9H10l-9-9V10z" fill="#b3211f"/><path d="M11 11l10 10M21 11L11 21" ${MARK}/>`,
  starting: '<circle cx="16" cy="16" r="13" fill="#fff" stroke="#0b63ce" stroke-width="4.5" stroke-dasharray="6.8 6.8"/><circle cx="16" cy="16" r="4" fill="#0b63ce"/>',
  unknown: `<path d="M16 1l15 15-15 15L1 16z" fill="#566070"/><path d="M12.5 12.5a3.6 3.6 0 1 1 3.5 4.5v1.5M16 23.5v.1" ${MARK.replace('"4"', '"3"')}/>`,
  unreachable: '<circle cx="16" cy="16" r="13" fill="#fff" stroke="#8c1a6a" stroke-width="5"/><path d="M7 7l18 18" stroke="#8c1a6a" stroke-width="5"/>',
};

/** The address of that state's icon: all of it is in there, and nothing is fetched. @param {string} state */
export const iconOf = (state) =>
  `data:image/svg+xml,${encodeURIComponent(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">${FORMS[state]}</svg>`)}`;
