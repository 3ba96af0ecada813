package sandbox

import (
	"fmt"

	"github.com/tenon-ml/tenon/sdk/abi"
)

// givenKey is what one metric or grid is known by; a guest gives each once.
type givenKey struct {
	grid         bool
	target, peer int32
	name         string
}

// subject checks the target and peer in arguments 0 and 1, either of which may be -1.
func (c *call) subject() (target, peer int32, err error) {
	if target = c.i32(0); target != abi.NoTarget {
		if _, err := c.target(0); err != nil {
			return 0, 0, err
		}
	}
	if peer = c.i32(1); peer != abi.NoPeer {
		if !c.granted(abi.CapPeers) {
			return 0, 0, fail(abi.Denied, "%q", abi.CapPeers)
		}
		if _, err := c.peer(1); err != nil {
			return 0, 0, err
		}
	}
	return target, peer, nil
}

// claim checks the name in arguments 2 and 3 and traps when it was given before.
func (c *call) claim(grid bool, target, peer int32) givenKey {
	key := givenKey{grid, target, peer, c.text(2)}
	if !isName(key.name) {
		c.trap("%q is not a name: lower case letters, digits and underscores, a letter first, at most %d", cut(key.name, 80), maxIdentifier)
	}
	if c.given[key] {
		c.trap("%q was given before for %s", key.name, c.about(target, peer))
	}
	return key
}

// about names a target and a peer that were checked.
func (c *call) about(target, peer int32) string {
	text := "the adapter as a whole"
	if target != abi.NoTarget {
		text = fmt.Sprintf("target %q", cut(c.input.Targets[target].Name, maxShownName))
	}
	if peer != abi.NoPeer {
		text += fmt.Sprintf(" and peer %q", cut(c.input.Peers[peer].Name, maxShownName))
	}
	return text
}

// maxShownName bounds a name in a message, in bytes.
const maxShownName = 200

func metric(c *call) (int32, error) {
	target, peer, err := c.subject()
	if err != nil {
		return 0, err
	}
	key := c.claim(false, target, peer)
	if len(c.metrics) >= c.limits.Metrics {
		c.log.note("more than %d metrics: the rest was refused", c.limits.Metrics)
		return 0, fail(abi.Quota, "%d metrics", c.limits.Metrics)
	}
	c.given[key] = true
	c.metrics = append(c.metrics, Metric{Target: int(target), Peer: int(peer), Name: key.name, Value: c.f64(4)})
	return 0, nil
}

func grid(c *call) (int32, error) {
	target, peer, err := c.subject()
	if err != nil {
		return 0, err
	}
	key := c.claim(true, target, peer)
	rows, cols := c.i32(4), c.i32(5)
	if rows < 1 || cols < 1 {
		return 0, fail(abi.Shape, "a grid of %d x %d", rows, cols)
	}
	if int64(rows)*int64(cols) > int64(c.limits.GridValues-c.gridValues) || len(c.grids) >= c.limits.Metrics {
		c.log.note("grids of more than %d values: the rest was refused", c.limits.GridValues)
		return 0, fail(abi.Quota, "a grid of %d x %d beside %d values, the limit is %d", rows, cols, c.gridValues, c.limits.GridValues)
	}
	values := doublesOf(c.view(6, 8*uint64(rows)*uint64(cols)))
	c.given[key] = true
	c.gridValues += len(values)
	c.grids = append(c.grids, Grid{Target: int(target), Peer: int(peer), Name: key.name, Rows: int(rows), Cols: int(cols), Values: values})
	return 0, nil
}

func finding(c *call) (int32, error) {
	target := c.i32(0)
	if target != abi.NoTarget {
		if _, err := c.target(0); err != nil {
			return 0, err
		}
	}
	severity := abi.Severity(c.i32(1))
	if severity < abi.Info || severity > abi.Deny {
		return 0, fail(abi.Unsupported, "severity %d", severity)
	}
	code, message, hint := c.text(2), c.text(4), c.text(6)
	if !isCode(code) {
		c.trap("%q is not a finding's code: capitals, digits and underscores, a capital first, 2 to %d", cut(code, 80), maxIdentifier)
	}
	if len(c.findings) >= c.limits.Findings {
		c.log.note("more than %d findings: the rest was refused", c.limits.Findings)
		return 0, fail(abi.Quota, "%d findings", c.limits.Findings)
	}
	c.findings = append(c.findings, Finding{
		Target: int(target), Severity: severity, Code: code, Message: line(message, maxText), Hint: line(hint, maxText),
		Value: c.f64(8), Limit: c.f64(9),
	})
	return 0, nil
}

func writeLog(c *call) (int32, error) {
	c.log.line(c.text(0))
	return 0, nil
}
