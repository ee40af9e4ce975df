// Turns an explorer: reads its frames, and shows the one that its sliders ask for.
(function () {
  const root = document.currentScript
    ? document.currentScript.parentElement
    : document.getElementById("EXPLORER");
  const frames = JSON.parse(root.querySelector("script[type='application/json']").textContent);
  const image = root.querySelector("img"), sliders = root.querySelectorAll("input");
  const first = image.src;
  function turn() {
    let place = 0;
    for (const slider of sliders) {
      const value = frames.values[slider.dataset.number][slider.value];
      slider.setAttribute("aria-valuetext", value);
      slider.parentElement.querySelector("output").textContent = value;
      place = place * (1 + Number(slider.max)) + Number(slider.value);
    }
    image.src = frames.sources[place] || first;
    image.alt = frames.alts[place];
  }
  for (const slider of sliders) slider.addEventListener("input", turn);
})();
