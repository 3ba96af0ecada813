package ui

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/tenon-ml/tenon/host/server"
)

// browser starts the Chromium that is on PATH, or skips the test.
func browser(t *testing.T) context.Context {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()))
		if os.Geteuid() == 0 {
			options = append(options, chromedp.NoSandbox)
		}
		allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
		t.Cleanup(cancel)
		ctx, cancel := chromedp.NewContext(allocator)
		t.Cleanup(cancel)
		ctx, cancel = context.WithTimeout(ctx, 3*time.Minute)
		t.Cleanup(cancel)
		if err := chromedp.Do(ctx); err != nil {
			t.Skipf("%s does not start: %v", name, err)
		}
		return ctx
	}
	t.Skip("no chromium, chromium-browser or google-chrome on PATH")
	return nil
}

// complaints are what a page said on the console: a policy that was broken, an error of the script.
type complaints struct {
	mu  sync.Mutex
	all []string
}

func (c *complaints) listen(ctx context.Context) error {
	return chromedp.Listen(ctx, func(event any) {
		c.mu.Lock()
		defer c.mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventConsoleAPICalled:
			c.all = append(c.all, fmt.Sprint(e.Type, e.Args))
		case *runtime.EventExceptionThrown:
			c.all = append(c.all, e.ExceptionDetails.Text)
		case *log.EventEntryAdded:
			c.all = append(c.all, e.Entry.Text)
		}
	})
}

// tab is one page of the dashboard in a browser.
type tab struct {
	*testing.T
	ctx   context.Context
	at    string
	shots string // a directory, to look at the pages
}

func (b tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.Fatal(err)
	}
}

func (b tab) text(script string) string {
	b.Helper()
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](script))
	if err != nil {
		b.Fatalf("%s: %v", script, err)
	}
	return text
}

// until waits for a script to give true.
func (b tab) until(script string) {
	b.Helper()
	for range 200 {
		if b.text("String(!!("+script+"))") == "true" {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	b.Fatalf("this never came: %s\n%s", script, b.text("document.body.innerText"))
}

// shot looks at the page: that it is no wider than the window, that what can be pressed is large enough for a thumb, and, where somebody
// wants to look, a picture.
func (b tab) shot(name string) {
	b.Helper()
	if wide := b.text("String(document.documentElement.scrollWidth - innerWidth)"); wide != "0" && !strings.HasPrefix(wide, "-") {
		b.Errorf("%s: the page is %s pixels wider than the window", name, wide)
	}
	small := b.text(`[...document.querySelectorAll("main button, main .button, main input, main select")].filter(e => e.checkVisibility() && e.type !== "checkbox" &&
		e.type !== "hidden" && e.getBoundingClientRect().height < 40).map(e => e.outerHTML).join("\n")`)
	if small != "" {
		b.Errorf("%s: too small to press: %s", name, small)
	}
	if b.text("String(window.attacked)") != "undefined" {
		b.Errorf("%s: a foreign script ran", name)
	}
	if b.shots == "" {
		return
	}
	picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.shots, name+".png"), picture, 0o666); err != nil {
		b.Fatal(err)
	}
}

func TestDashboardInABrowser(t *testing.T) {
	ctx := browser(t)
	for _, window := range []struct {
		name          string
		width, height int64
	}{{"desktop", 1280, 900}, {"phone", 390, 844}} {
		t.Run(window.name, func(t *testing.T) {
			f := newFake(t)
			at, _ := site(t, f, nil)
			page, cancel := chromedp.NewContext(ctx)
			defer cancel()
			heard := &complaints{}
			if err := heard.listen(page); err != nil {
				t.Fatal(err)
			}
			b := tab{t, page, at, os.Getenv("TENON_SCREENSHOTS")}
			b.do(chromedp.EmulateViewport(window.width, window.height), chromedp.Navigate(at+"/ui/"))

			// The first page follows what happens.
			b.until(`document.getElementById("connection").textContent.includes("following")`)
			f.feed.Publish(server.Event{Kind: server.KindProgress, Alias: "menu", Step: "checking", Done: 3, Total: 9})
			b.until(`document.querySelector("#feed progress")?.value === 3`)
			f.feed.Publish(server.Event{Kind: server.KindProgress, Alias: "menu", Step: "checking", Done: 9, Total: 9})
			f.feed.Publish(server.Event{Kind: server.KindRefused, Alias: "menu", Verdict: "deny", Message: attack})
			b.until(`document.querySelector("#feed .refused")`)
			if said := b.text(`document.querySelector("#feed .refused").textContent`); strings.ContainsAny(said, "\u202e\x1b") {
				t.Errorf("a foreign message is shown as it came: %q", said)
			}
			if lines := b.text(`String(document.querySelectorAll("#feed li").length)`); lines != "2" {
				t.Errorf("%s lines, want one that moves on and one more", lines)
			}
			b.shot("overview-" + window.name)
			if _, err := f.Rollback(t.Context(), "menu", digest("b")); err != nil {
				t.Fatal(err)
			}
			b.until(`document.querySelector("#adapters").innerText.includes("bbbbbbbbbbbb")`)

			// With the keyboard alone: open the dialog, step back from it, open it again, and roll back.
			b.do(chromedp.Navigate(at + "/ui/adapter?alias=menu"))
			b.shot("adapter-" + window.name)
			before := len(f.did())
			focus := `[...document.querySelectorAll("[data-opens]")].find(e => e.textContent.includes("Roll back")).focus(), ""`
			b.text(focus)
			b.do(chromedp.KeyEvent(kb.Enter))
			b.until(`document.querySelector("dialog[open]")`)
			b.shot("dialog-" + window.name)
			b.do(chromedp.KeyEvent(kb.Escape))
			b.until(`!document.querySelector("dialog[open]")`)
			if did := f.did(); len(did) != before {
				t.Errorf("stepping back did %q", did[before:])
			}
			b.text(focus)
			b.do(chromedp.KeyEvent(kb.Enter))
			b.until(`document.querySelector("dialog[open] button.primary")`)
			b.text(`document.querySelector("dialog[open] button.primary").focus(), ""`)
			b.do(chromedp.KeyEvent(kb.Enter))
			b.until(`document.readyState === "complete" && !document.querySelector("dialog[open]") && location.search === "?alias=menu"`)
			if did := f.did()[before:]; len(did) != 1 || !strings.HasPrefix(did[0], "rollback menu sha256:") {
				t.Errorf("rolling back did %q", did)
			}

			// Two answers side by side.
			b.do(chromedp.Navigate(at + "/ui/compare?right=menu&prompt=hello"))
			b.text(`document.querySelector("#compare button.primary").click(), ""`)
			b.until(`document.getElementById("difference").textContent.includes("then part")`)
			if texts := b.text(`document.getElementById("left-text").textContent + "|" + document.getElementById("right-text").textContent`); !strings.HasPrefix(texts, "the hello|the hello, from ") {
				t.Errorf("answers %q", texts)
			}
			b.shot("compare-" + window.name)

			b.do(chromedp.Navigate(at + "/ui/nowhere-at-all?"))
			b.do(chromedp.Navigate(at + "/ui/adapter?alias=nobody"))
			b.shot("problem-" + window.name)
			heard.mu.Lock()
			defer heard.mu.Unlock()
			for _, said := range heard.all {
				if !strings.Contains(said, "404") { // the two pages that are not there
					t.Errorf("the page said %s", said)
				}
			}
		})
	}
}
