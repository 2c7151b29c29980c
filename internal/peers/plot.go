package main

import (
	"bytes"
	"fmt"
	"html"
)

// The plot's measures, in pixels.
const (
	plotWidth  = 900
	labelWidth = 330
	barSpan    = 440 // of a bar as fast as the page alone
	barHeight  = 13
	rowHeight  = 42
	plotTop    = 92
)

// plotted are the numbers of connections in the plot, and their colours.
var plotted = []struct {
	connections int
	colour      string
}{{16, "#1b6ca8"}, {256, "#8fbbd9"}}

// svg returns a plot of requests a second against the page alone. It has its own
// background, so that it reads the same on a dark page.
func (res *results) svg() []byte {
	height := plotTop + rowHeight*len(res.contenders) + 40
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %d" font-family="system-ui, sans-serif" font-size="13" fill="#222">`+"\n", plotWidth, height, height)
	title := "Signed-in pages a second, as a share of the same page without any login"
	fmt.Fprintf(&b, "<title>%s</title>\n", title)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" rx="6" fill="#fff" stroke="#ccc"/>`+"\n")
	text(&b, 20, 32, `font-size="17" font-weight="600"`, title)
	x := 20
	for _, p := range plotted {
		fmt.Fprintf(&b, `<rect x="%d" y="50" width="13" height="13" fill="%s"/>`+"\n", x, p.colour)
		text(&b, x+20, 61, "", fmt.Sprintf("%d connections", p.connections))
		x += 140
	}
	bottom := plotTop + rowHeight*len(res.contenders)
	for percent := 0; percent <= 100; percent += 25 {
		x := labelWidth + barSpan*percent/100
		fmt.Fprintf(&b, `<line x1="%d" y1="%d" x2="%[1]d" y2="%d" stroke="#ddd"/>`+"\n", x, plotTop-8, bottom)
		text(&b, x, bottom+18, `text-anchor="middle" fill="#555"`, fmt.Sprintf("%d %%", percent))
	}
	for i, c := range res.contenders {
		res.bars(&b, c, plotTop+rowHeight*i)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func (res *results) bars(b *bytes.Buffer, c contender, y int) {
	weight := ""
	if c.name == "ours-warm" {
		weight = ` font-weight="600"`
	}
	text(b, labelWidth-12, y+18, `text-anchor="end"`+weight, c.label)
	if reason, missing := res.missing[c.name]; missing {
		text(b, labelWidth+6, y+18, `fill="#777"`, "not run: "+reason)
		return
	}
	for i, p := range plotted {
		at := cell{c.name, p.connections}
		share := res.ratio(at, bareName)
		if share == 0 {
			continue
		}
		top := y + i*(barHeight+2)
		width := max(1, int(barSpan*share))
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/>`+"\n", labelWidth, top, width, barHeight, p.colour)
		rate := median(column(res.figures[at], func(f figures) float64 { return f.rate }))
		text(b, labelWidth+width+6, top+11, `font-size="12"`, fmt.Sprintf("%.0f %%  (%.0f/s)", 100*share, rate))
	}
}

func text(b *bytes.Buffer, x, y int, attributes, words string) {
	fmt.Fprintf(b, `<text x="%d" y="%d" %s>%s</text>`+"\n", x, y, attributes, html.EscapeString(words))
}
