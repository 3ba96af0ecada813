package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
)

// Figure is one figure of a page, drawn elsewhere.
type Figure struct {
	ID, Title, Caption string
	Panels             []Panel
	Folded             bool // shown when asked for
}

// Panel is one picture of a figure.
type Panel struct {
	Title  string
	SVG    []byte // an SVG element, trusted: it goes into the page as it stands
	Folded bool   // one of many alike, shown when asked for
}

var (
	//go:embed page.html
	pageTemplate string
	//go:embed page.css
	pageStyle string
	//go:embed page.js
	pageScript string

	pageParsed = template.Must(template.New("page").Parse(pageTemplate))
)

// contentPolicy lets the page show what is in it and nothing else: no request leaves it, and only its own script runs.
func contentPolicy() string {
	sum := sha256.Sum256([]byte(pageScript))
	return fmt.Sprintf("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-%s'; img-src data:; base-uri 'none'; form-action 'none'",
		base64.StdEncoding.EncodeToString(sum[:]))
}

// HTML writes r as one page that needs nothing else: verdict and reasons first, then the figures, then tables that sort. The bytes are a
// function of r and figures. What the adapter, the base and the modules wrote goes through Escape and is escaped for HTML.
func HTML(w io.Writer, r *Report, figures []Figure) error {
	return writePage(w, newPageView(r, figures))
}

// ComparisonHTML writes a page under an answer that is no verdict, because nobody asked whether an adapter may be merged: name in capitals,
// and what it means. The findings of r are the rest.
func ComparisonHTML(w io.Writer, r *Report, figures []Figure, name, meaning string) error {
	view := newPageView(r, figures)
	view.Verdict = verdictView{Class: inkClasses[plainInk], Name: Escape(name), Phrase: sentenceCase(Escape(meaning)), Mark: "↔"}
	return writePage(w, view)
}

func writePage(w io.Writer, view *pageView) error {
	view.Policy = contentPolicy()
	view.Style, view.Script = template.CSS(pageStyle), template.JS(pageScript)
	var b bytes.Buffer
	if err := pageParsed.Execute(&b, view); err != nil {
		return fmt.Errorf("writing a report as HTML: %w", err)
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("writing a report: %w", err)
	}
	return nil
}
