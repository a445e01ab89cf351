// Shows each packed run of a report; the pages stand in `window.spaceTime`, in their order.
window.spaceTime = [];
[...document.querySelectorAll(".space-time")].forEach(async (element, place) => {
  // A folded page is drawn when it opens: it has no width before.
  const box = element.closest("details:not([open])");
  if (box) await new Promise((opened) => box.addEventListener("toggle", opened, { once: true }));
  window.spaceTime[place] = await mountPacked(element);
});
