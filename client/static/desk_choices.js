/** What people at this desk chose last, such as a unit: kept by the browser, and never a value of a patient. */

export const remembered = (name) => localStorage.getItem(`desk-${name}`);

export const remember = (name, choice) => localStorage.setItem(`desk-${name}`, choice);
