// @ts-check
// What a page does by itself: a clock, adverts, a ticker, a counter, cookies of analytics, a rotating token.
const put = (/** @type {string} */ html) => document.body.insertAdjacentHTML('beforeend', html);
put('<output id=clock>Now 10:00:00</output><div id=advert><a href="#advert">Buy socks</a></div>');
put('<div role=status id=live>310 people are looking at this</div><h3 id=ticker>ACME 10.1</h3>');
const texts = ['Buy socks', 'Buy shoes', 'Rent a boat', 'Eat at Joe’s', 'Fly to Rome'];
let count = 0;
const by = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));
setInterval(() => { by('clock').textContent = `Now ${new Date().toTimeString().slice(0, 8)}`; }, 250);
setInterval(() => { count++; by('advert').innerHTML = `<a href="#advert">${texts[count % 5]} ${count}</a>`; }, 400);
setInterval(() => { by('live').textContent = `${310 + count} people are looking at this`; }, 300);
setInterval(() => { by('ticker').textContent = `ACME ${(10 + Math.random() * 5).toFixed(2)}`; }, 350);
setInterval(() => {
  document.cookie = `_ga=${Math.random()}; path=/`;
  document.cookie = `csrftoken=${Math.random()}; path=/`;
  localStorage.setItem('analytics.seen', String(Date.now()));
}, 500);
