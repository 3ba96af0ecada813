package report_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/tenon-ml/tenon/host/figure"
	"github.com/tenon-ml/tenon/host/report"
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
		ctx, cancel = context.WithTimeout(ctx, 2*time.Minute)
		t.Cleanup(cancel)
		if err := chromedp.Do(ctx); err != nil {
			t.Skipf("%s does not start: %v", name, err)
		}
		return ctx
	}
	t.Skip("no chromium, chromium-browser or google-chrome on PATH")
	return nil
}

// watched notes what a page should not do: requests other than for itself, and anything on the console.
type watched struct {
	mu       sync.Mutex
	requests []string
	messages []string
}

func (w *watched) listen(ctx context.Context, page string) error {
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		return err
	}
	return chromedp.Listen(ctx, func(event any) {
		w.mu.Lock()
		defer w.mu.Unlock()
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			if url := e.Request.URL; url != page && !strings.HasPrefix(url, "data:") {
				w.requests = append(w.requests, url)
			}
		case *runtime.EventConsoleAPICalled:
			w.messages = append(w.messages, fmt.Sprint(e.Type, e.Args))
		case *runtime.EventExceptionThrown:
			w.messages = append(w.messages, e.ExceptionDetails.Text)
		case *log.EventEntryAdded:
			w.messages = append(w.messages, e.Entry.Text)
		}
	})
}

// seen is what a person sees of the page.
type seen struct {
	Overflow                      float64 // how much wider the page is than the window
	VerdictTop, VerdictBottom     float64
	VerdictText, ReasonsText      string
	Figures, Empty                int // pictures that are shown, and those of them without a size
	SmallestText                  float64
	Before, Descending, Ascending []string // a column, as it stands and after one and two clicks on its heading
	Scripts                       float64  // set by a script that the report did not bring
}

const look = `(() => {
  const box = document.querySelector("#verdict").getBoundingClientRect();
  const pictures = [...document.querySelectorAll(".panel svg")].filter(s => s.checkVisibility());
  const column = () => [...document.querySelectorAll("#numbers table")[0].tBodies[0].rows].map(r => r.cells[2].textContent);
  const press = () => document.querySelectorAll("#numbers table")[0].tHead.rows[0].cells[2].querySelector("button").click();
  const answer = {
    Overflow: document.documentElement.scrollWidth - innerWidth,
    VerdictTop: box.top, VerdictBottom: box.bottom,
    VerdictText: document.querySelector("#verdict").innerText, ReasonsText: document.querySelector("#reasons").innerText,
    Figures: pictures.length,
    Empty: pictures.filter(s => { const b = s.getBoundingClientRect(); return b.width < 200 || b.height < 100 }).length,
    SmallestText: Math.min(...pictures.flatMap(s => [...s.querySelectorAll("text:not([transform])")]).map(t => t.getBoundingClientRect().height)),
    Scripts: window.attacked ? 1 : 0,
  };
  if (document.querySelector("#numbers table")) {
    answer.Before = column(); press(); answer.Descending = column(); press(); answer.Ascending = column();
  }
  return answer;
})()`

// desktop and phone are the sizes of windows that the pages are opened in.
var desktop, phone = [2]int64{1280, 900}, [2]int64{390, 844}

// hostileReport is a report whose every foreign string attacks the page.
func hostileReport() *report.Report {
	r := report.FullReport()
	const attack = "<script>window.attacked=1</script><img src=x onerror=window.attacked=1>\"'><b>\u202egnp\x1b[2J"
	r.Adapter.Ref, r.Base.Ref, r.Policy.Name, r.Peers[0].Ref = attack+"/a\u202eb", attack, attack, attack+"/peer"
	r.Findings[0].Message, r.Findings[0].Hint, r.Findings[0].Code = attack, attack, attack
	r.Probe.Completions[0].Text = attack
	for i := range r.Metrics {
		r.Metrics[i].Target = strings.Replace(r.Metrics[i].Target, "q_proj", attack, 1)
	}
	for i := range r.Grids {
		r.Grids[i].Target = strings.Replace(r.Grids[i].Target, "q_proj", attack, 1)
	}
	r.Modules[0].Error = attack
	return r
}

// TestPageInABrowser opens reports at the widths of a desk and of a phone, and holds what is visible against what a person needs to see.
func TestPageInABrowser(t *testing.T) {
	ctx := browser(t)
	shots := os.Getenv("TENON_SCREENSHOTS") // a directory, to look at the pages
	for _, test := range []struct {
		name   string
		report *report.Report
		window [2]int64
	}{
		{"full-desktop", report.FullReport(), desktop},
		{"full-phone", report.FullReport(), phone},
		{"refused-phone", report.RefusedReport(), phone},
		{"hostile-phone", hostileReport(), phone},
	} {
		t.Run(test.name, func(t *testing.T) {
			var page bytes.Buffer
			if err := report.HTML(&page, test.report, figure.ForPage(test.report)); err != nil {
				t.Fatal(err)
			}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				_, _ = w.Write(page.Bytes()) // where that fails the browser has gone away
			}))
			defer server.Close()
			tab, cancel := chromedp.NewContext(ctx)
			defer cancel()
			w := &watched{}
			if err := w.listen(tab, server.URL+"/"); err != nil {
				t.Fatal(err)
			}
			if err := chromedp.Do(tab, chromedp.EmulateViewport(test.window[0], test.window[1]), chromedp.Navigate(server.URL+"/")); err != nil {
				t.Fatal(err)
			}
			if shots != "" {
				shot, err := chromedp.Run(tab, chromedp.FullScreenshot(100))
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(shots, test.name+".png"), shot, 0o666); err != nil {
					t.Fatal(err)
				}
			}
			s, err := chromedp.Run(tab, chromedp.Evaluate[seen](look))
			if err != nil {
				t.Fatal(err)
			}
			check(t, test.report, s, float64(test.window[1]))
			w.mu.Lock()
			defer w.mu.Unlock()
			if len(w.requests) > 0 || len(w.messages) > 0 {
				t.Errorf("the page asked for %v and said %v", w.requests, w.messages)
			}
		})
	}
}

func check(t *testing.T, r *report.Report, s seen, height float64) {
	t.Helper()
	if s.Overflow > 0 {
		t.Errorf("the page is %v pixels wider than the window", s.Overflow)
	}
	if s.VerdictTop < 0 || s.VerdictBottom > height {
		t.Errorf("the verdict is not on the first screen: it goes from %v to %v of %v", s.VerdictTop, s.VerdictBottom, height)
	}
	if !strings.Contains(s.VerdictText, strings.ToUpper(string(r.Verdict))) {
		t.Errorf("the verdict reads %q", s.VerdictText)
	}
	if code := report.Escape(r.Findings[0].Code); !strings.Contains(s.ReasonsText, code) {
		t.Errorf("the reasons do not hold %q: %q", code, s.ReasonsText)
	}
	if s.Scripts != 0 {
		t.Error("a script of the adapter's ran")
	}
	if len(r.Grids) == 0 {
		return
	}
	if s.Figures < 10 || s.Empty > 0 {
		t.Errorf("%d pictures are shown, and %d of them have no size", s.Figures, s.Empty)
	}
	if s.SmallestText < 8 {
		t.Errorf("a figure has text %v pixels high", s.SmallestText)
	}
	if up, down := strings.Join(s.Ascending, " "), strings.Join(s.Descending, " "); up == down || len(s.Before) < 3 || len(s.Before) != len(s.Ascending) {
		t.Errorf("sorting does not change the order: %v, %v, %v", s.Before, s.Descending, s.Ascending)
	}
}
