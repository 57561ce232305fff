// Numbers are drawn first; the samples, which are most of the file, follow.
const main = async () => {
  const numbers = await unpack("pb-numbers");
  const shows = [tradeoff(numbers), pbxTable(numbers), heatMap(numbers)];
  analyses(numbers);
  document.documentElement.dataset.numbers = "shown";
  const texts = await unpack("pb-samples");
  sampleBrowser(texts, tracePlayer(texts));
  document.documentElement.dataset.samples = "shown";
  if (at("live")) await follow(numbers, shows);
};
main().catch((error) => {
  document.querySelector("main").prepend(make("p", { class: "bad", role: "alert", text: `The data of this page cannot be shown: ${error.message}. It needs a browser of 2023 or later.` }));
  throw error;
});
