package secrets

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
)

// print keeps v in all the forms in which careless code prints it.
func (r *record) print(place string, v any) {
	var out strings.Builder
	for _, verb := range strings.Fields("%v %+v %#v %s %q %x %X %d %+q %#x %t %c %e %08.3f %T") {
		fmt.Fprintf(&out, verb+"\n", v)
		fmt.Fprintf(&out, verb+"\n", struct{ V any }{v})
		fmt.Fprintf(&out, verb+"\n", []any{v})
		fmt.Fprintf(&out, verb+"\n", map[string]any{"v": v})
	}
	fmt.Fprintln(&out, v)
	if body, err := json.Marshal(v); err == nil {
		out.Write(body)
	} else {
		out.WriteString(err.Error())
	}
	if body, err := xml.Marshal(v); err == nil {
		out.Write(body)
	}
	var logged bytes.Buffer
	slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "v", v, slog.Group("g", "v", v))
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "v", v, slog.Group("g", "v", v))
	out.Write(logged.Bytes())
	r.keep(printed, place, out.String())
}
