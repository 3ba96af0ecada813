package ui

import (
	"bufio"
	"net/http"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/server"
)

// neighbours is a fake in which two tenants use one generation.
type neighbours struct{ *fake }

func (n neighbours) Generations() []server.Resident {
	return []server.Resident{{Generation: digest("b"), State: server.StateLive, Aliases: []string{"acme/product", "other/mine"}, Requests: 7}}
}

// TestNeighbours: of a generation that others use too, a tenant sees only that he uses it.
func TestNeighbours(t *testing.T) {
	keys, _, secrets := keyring(t)
	at, client := site(t, neighbours{newFake(t)}, keys)
	post(t, client, at+"/ui/signin", "key", secrets["reader"])
	_, body, _ := get(t, client, at+"/ui/compare")
	if strings.Contains(body, "product") || strings.Contains(body, "acme") || !strings.Contains(body, "of mine") {
		t.Errorf("he sees %s", body)
	}
}

// TestEventsOfOthers: a tenant's page hears of nobody else's generations, and not of who changed what is shared.
func TestEventsOfOthers(t *testing.T) {
	keys, _, secrets := keyring(t)
	f := newFake(t)
	at, client := site(t, f, keys)
	post(t, client, at+"/ui/signin", "key", secrets["reader"])
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at+"/ui/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	for _, e := range []server.Event{
		{Kind: server.KindFreed, Generation: digest("e")},
		{Kind: server.KindLive, Alias: "acme/secret", Actor: "acme"},
		{Kind: server.KindLive, Alias: "menu", Actor: "ops"},
		{Kind: server.KindLive, Alias: "other/mine", Actor: "reader", Message: "other/mine is live"},
	} {
		f.feed.Publish(e)
	}
	var heard []string
	lines := bufio.NewScanner(answer.Body)
	for len(heard) < 2 && lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			heard = append(heard, data)
		}
	}
	all := strings.Join(heard, "\n")
	if strings.Contains(all, "freed") || strings.Contains(all, "acme") || strings.Contains(all, "ops") || strings.Contains(all, "other/") ||
		!strings.Contains(all, `"alias":"menu"`) || !strings.Contains(all, `"message":"mine is live"`) {
		t.Errorf("he hears\n%s", all)
	}
}

// TestSecretAsReference: the secret of a key does not get into lists and logs by way of the form.
func TestSecretAsReference(t *testing.T) {
	f := newFake(t)
	at, client := site(t, f, nil)
	secret, _ := server.NewSecret()
	code, body, _ := post(t, client, at+"/ui/load", "name", "x", "ref", "/a/"+secret)
	if code != http.StatusBadRequest || strings.Contains(body, secret) || len(f.did()) > 0 {
		t.Errorf("%d, did %q", code, f.did())
	}
	if code, _, _ := post(t, client, at+"/ui/load", "name", "x", "ref", "/a", "mode", "sideways"); code != http.StatusUnprocessableEntity || len(f.did()) > 0 {
		t.Errorf("a mode that is none: %d, did %q", code, f.did())
	}
}
