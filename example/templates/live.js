// Shows what /live/events sends, and says when there will be no more.
const show = (id, text) => { document.getElementById(id).textContent = text }
const events = new EventSource("/live/events")

events.addEventListener("time", e => {
	show("time", e.data)
	show("state", "live")
})

events.addEventListener("ended", e => end(e.data))

// A connection that breaks is tried again by the browser. It gives up if the answer is
// no stream, which is how strangers are answered.
events.addEventListener("error", () => {
	if (events.readyState === EventSource.CLOSED) {
		end("You are not signed in any more.")
	} else {
		show("state", "connecting")
	}
})

function end(why) {
	events.close()
	show("state", "ended")
	document.getElementById("state").classList.add("warn")
	show("why", why)
	document.getElementById("ended").hidden = false
}
