package idxtest

import (
	"encoding/json"
	"strings"
)

// fieldTree is what a query asks for with its fields parameter: names in lower case,
// each with what is wanted below it. An empty tree means everything.
type fieldTree map[string]fieldTree

// parseFields reads a list such as "Uid,CustomFields/plan,Email(Type,Value)"
// (LoginRadius, "Advanced API Usage"). It minds no missing parenthesis.
func parseFields(list string) fieldTree {
	tree := make(fieldTree)
	for _, field := range splitFields(list) {
		name, below := strings.TrimSpace(field), ""
		if i := strings.IndexAny(field, "/("); i >= 0 {
			name, below = strings.TrimSpace(field[:i]), field[i+1:]
			if field[i] == '(' {
				below = strings.TrimSuffix(strings.TrimSpace(below), ")")
			}
		}
		if name = lowerASCII(name); name != "" {
			tree.add(name, parseFields(below))
		}
	}
	return tree
}

// add asks for below under name. What is asked for as a whole stays whole.
func (t fieldTree) add(name string, below fieldTree) {
	known, ok := t[name]
	if !ok || len(below) == 0 {
		t[name] = below
		return
	}
	if len(known) == 0 {
		return
	}
	for name, deeper := range below {
		known.add(name, deeper)
	}
}

// splitFields splits at the commas outside of parentheses.
func splitFields(list string) []string {
	depth := 0
	return strings.FieldsFunc(list, func(r rune) bool {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		}
		return r == ',' && depth == 0
	})
}

// prune returns value with what the tree asks for; ok is false if there is nothing of
// that kind in it. value is what [json.Unmarshal] makes of JSON. null stays, and of a
// list, every element is pruned.
func (t fieldTree) prune(value any) (pruned any, ok bool) {
	if _, all := t["*"]; all || len(t) == 0 || value == nil {
		return value, true
	}
	switch value := value.(type) {
	case map[string]any:
		kept := make(map[string]any)
		for key, member := range value {
			below, wanted := t[lowerASCII(key)]
			if !wanted {
				continue
			}
			if member, ok := below.prune(member); ok {
				kept[key] = member
			}
		}
		return kept, true
	case []any:
		kept := []any{}
		for _, element := range value {
			if element, ok := t.prune(element); ok {
				kept = append(kept, element)
			}
		}
		return kept, true
	}
	return nil, false // a text or number has nothing below it
}

// project keeps what the query's fields parameter asks for.
func (c *callContext) project(profile map[string]any) any {
	tree := parseFields(c.query.Get("fields"))
	if len(tree) == 0 {
		return profile
	}
	text, err := json.Marshal(profile)
	if err != nil {
		panic(err) // our own maps and strings
	}
	var plain any
	if err := json.Unmarshal(text, &plain); err != nil {
		panic(err)
	}
	pruned, _ := tree.prune(plain)
	return pruned
}
