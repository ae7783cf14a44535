package inspect

import (
	"cmp"
	"slices"
)

// maxGroups bounds each of the groupings. Connections that come later and would begin another group are counted as
// others.
const maxGroups = 10_000

// groups counts connections by a name.
type groups struct {
	byName map[string]*Group
	others Group
}

func newGroups() groups {
	return groups{byName: map[string]*Group{}, others: Group{Name: "others", Others: true}}
}

func (g *groups) add(name string, whole bool, bytes Bytes) {
	group := g.byName[name]
	if group == nil {
		group = &g.others
		if len(g.byName) < maxGroups {
			group = &Group{Name: name}
			g.byName[name] = group
		}
	}
	group.Connections++
	if whole {
		group.Whole++
	}
	group.Bytes.add(bytes)
}

// report returns the groups, those with the most bytes first and the others last.
func (g *groups) report() []Group {
	all := make([]Group, 0, len(g.byName)+1)
	for _, group := range g.byName {
		all = append(all, *group)
	}
	slices.SortFunc(all, func(a, b Group) int {
		return cmp.Or(
			cmp.Compare(b.Bytes.total(), a.Bytes.total()), cmp.Compare(b.Connections, a.Connections), cmp.Compare(a.Name, b.Name))
	})
	if g.others.Connections > 0 {
		all = append(all, g.others)
	}
	return all
}

// ranking keeps the connections that come first in an order.
type ranking struct {
	most  int
	value func(*Connection) int64 // the order: by this, the highest first
	rows  []Connection
}

// takes reports whether a connection with a value has a place in the ranking.
func (r *ranking) takes(value int64) bool {
	return len(r.rows) < r.most || r.most > 0 && value > r.value(&r.rows[r.most-1])
}

func (r *ranking) add(c *Connection) {
	value := r.value(c)
	if !r.takes(value) {
		return
	}
	at, _ := slices.BinarySearchFunc(r.rows, value, func(row Connection, value int64) int {
		if r.value(&row) >= value { // of equals, the first stays first
			return -1
		}
		return 1
	})
	r.rows = slices.Insert(r.rows, at, *c)
	r.rows = r.rows[:min(len(r.rows), r.most)]
}
