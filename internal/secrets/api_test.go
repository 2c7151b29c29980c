package secrets

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
)

// tap is the way to the API. It keeps what the application says there, and can answer
// in the API's stead, with what it has just been told.
type tap struct {
	*record
	echo atomic.Pointer[echo]
}

// echo makes an answer of the credential of a call.
type echo func(req *http.Request, credential string) (*http.Response, error)

func (t *tap) RoundTrip(req *http.Request) (*http.Response, error) {
	t.keep(apiAddress, req.URL.Path, req.URL.String())
	for name, values := range req.Header {
		t.keep(apiHead, name+" to "+req.URL.Path, strings.Join(values, "\n"))
	}
	credential, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	if ok {
		t.enter(accessToken, credential)
	} else {
		credential = req.Header.Get("X-LoginRadius-ApiSecret")
	}
	if answer := t.echo.Load(); answer != nil {
		return (*answer)(req, credential)
	}
	return http.DefaultTransport.RoundTrip(req)
}

func (t *tap) answer(e echo) {
	if e == nil {
		t.echo.Store(nil)
		return
	}
	t.echo.Store(&e)
}

// says is an answer with a body.
func says(status int, header http.Header, body string) (*http.Response, error) {
	if header == nil {
		header = make(http.Header)
	}
	return &http.Response{
		Status: http.StatusText(status), StatusCode: status, Header: header, ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(bytes.NewReader([]byte(body))), ContentLength: int64(len(body)),
	}, nil
}

// fails is a connection that breaks, of a transport that talks too much.
func fails(text string) (*http.Response, error) { return nil, errors.New(text) }
