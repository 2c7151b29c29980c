package middleware

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/idxauth/idxauth/idx"
)

const (
	// webhookWindow is how old a webhook may be. LoginRadius sends each at once; the
	// signature covers no time of sending, so whoever has seen one could send it again
	// for ever. For as long its id is remembered.
	webhookWindow = 30 * time.Minute

	// webhookClaim is how long one is left to the instance that has begun with it: if that
	// is stopped before it is done, another delivery must not be taken for a repetition.
	webhookClaim = 15 * time.Second

	webhookRetries    = time.Minute // LoginRadius does not promise to send one again, so we try again
	webhookRetryEvery = time.Second
)

// webhookReader is what a Provider can offer beyond its interface: webhooks.
type webhookReader interface {
	HasSecret() bool
	ParseWebhook(r *http.Request) (*idx.Webhook, error)
}

// serveWebhook lets LoginRadius say that an account has changed. Nothing is believed of
// a webhook but which account to look at, or to sign out: what it shows of the account
// may be late, or not fit the event.
func (a *Auth) serveWebhook(w http.ResponseWriter, r *http.Request) {
	hook, err := a.webhooks.ParseWebhook(r)
	if err == nil {
		err = checkAge(hook, time.Now())
	}
	if err != nil {
		a.refuseWebhook(w, r, webhookRefusal(err))
		return
	}
	task := &webhookTask{auth: a, hook: hook}
	rand.Read(task.mark[:])
	ctx := context.WithoutCancel(r.Context())
	err = task.do(ctx)
	if errors.Is(err, errWebhookBusy) && sleep(r.Context(), webhookRetryEvery) { // as a rule the other one is done by then
		err = task.do(ctx)
	}
	if err != nil {
		if !a.webhookTasks.Go(r.Context(), webhookRetries, task.keepDoing) {
			task.giveUp(r.Context())
		}
		a.refuseWebhook(w, r, err)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// refuseWebhook answers with a problem, and no path to sign in: a program asks.
func (a *Auth) refuseWebhook(w http.ResponseWriter, r *http.Request, err error) {
	p := a.problem(err)
	p.LoginPath, p.LogoutPath = "", ""
	a.answerProblem(w, r, p)
}

func webhookRefusal(err error) error {
	switch {
	case reasonOf(err) == WebhookTooOld:
		return err
	case errors.Is(err, idx.ErrWebhookSignature):
		return refuse(WebhookUnsigned, err)
	case errors.Is(err, idx.ErrWebhookTooLarge):
		return refuse(WebhookTooLarge, err)
	default:
		return refuse(WebhookMalformed, err)
	}
}

func checkAge(hook *idx.Webhook, now time.Time) error {
	if age := now.Sub(hook.Time); age > webhookWindow || age < -clockSkew {
		return refuse(WebhookTooOld, nil)
	}
	return nil
}

// webhookTask is one webhook that is to have its effect, once on all instances.
type webhookTask struct {
	auth *Auth
	hook *idx.Webhook
	mark [8]byte // tells our own claim from another's

	outcome  string // of act
	sessions int
}

// webhookDone is what is claimed begins with for a webhook that has had its effect. The mark
// of the one who has done it follows.
var webhookDone = []byte("done")

var errWebhookBusy = errors.New("another delivery of the webhook is being handled")

// do is nil if nothing is left to be done.
func (t *webhookTask) do(ctx context.Context) error {
	name, done := hashName("webhook", t.hook.ID), slices.Concat(webhookDone, t.mark[:])
	held, err := t.auth.sessions.Claim(ctx, name, t.mark[:], webhookClaim)
	switch {
	case err != nil:
		return err
	case bytes.Equal(held, done): // by us: only the answer was lost
		t.tell(ctx)
		return nil
	case bytes.HasPrefix(held, webhookDone):
		t.log(ctx, "repeated", 0)
		return nil
	case held != nil && !bytes.Equal(held, t.mark[:]):
		return errWebhookBusy
	}
	t.outcome, t.sessions, err = t.act(ctx)
	if err != nil {
		return err
	}
	isOurs, err := t.auth.sessions.Swap(ctx, name, t.mark[:], done, webhookWindow+2*clockSkew)
	if err != nil {
		return err // and what it does can be repeated
	}
	if !isOurs { // it took longer than the claim: another one may be at work
		return errWebhookBusy
	}
	t.tell(ctx)
	return nil
}

// tell tells of what the webhook has done.
func (t *webhookTask) tell(ctx context.Context) {
	t.log(ctx, t.outcome, t.sessions)
	if hooked := t.auth.hooks.OnWebhook; hooked != nil {
		hooked(ctx, t.hook)
	}
}

// act does what the event asks for, and says what it was and to how many sessions. It
// can be repeated.
func (t *webhookTask) act(ctx context.Context) (outcome string, n int, err error) {
	sessions, uid := t.auth.sessions, t.hook.UID
	if uid == "" {
		return "ignored", 0, nil
	}
	switch t.hook.Event {
	case idx.EventDeleteAccount:
		n, err = sessions.Purge(ctx, uid)
		return "purged", n, err
	case idx.EventBlockAccount, idx.EventResetPassword, idx.EventChangePassword, idx.EventSetPassword:
		// Of the sessions of a user who has changed the password nobody knows which one
		// is the user's own.
		n, err = sessions.RevokeUser(ctx, uid, nil)
		return "revoked", n, err
	case idx.EventLogin, idx.EventRegister, idx.EventCreateTraditionalAccount,
		idx.EventCreateCustomObject, idx.EventUpdateCustomObject, idx.EventDeleteCustomObject:
		return "ignored", 0, nil // nothing that a session keeps has changed
	default: // events that LoginRadius may add, too
		n, err = sessions.MarkUser(ctx, uid)
		return "marked", n, err
	}
}

// keepDoing tries again what the store could not do.
func (t *webhookTask) keepDoing(ctx context.Context) {
	tick := time.NewTicker(webhookRetryEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			t.giveUp(ctx)
			return
		case <-tick.C:
			if t.do(ctx) == nil {
				return
			}
		}
	}
}

func (t *webhookTask) giveUp(ctx context.Context) {
	t.auth.log.limited(ctx, slog.LevelError, "idxauth: webhook without effect: send it again; of what it tells, Revalidate finds only what the account shows", "", slog.Any("webhook", t.hook))
}

// log writes the one line of a webhook. Of the webhook it shows the event, if it is one
// that LoginRadius documents.
func (t *webhookTask) log(ctx context.Context, outcome string, sessions int) {
	t.auth.log.InfoContext(ctx, "idxauth: webhook", "webhook", t.hook, "outcome", outcome, "sessions", sessions)
}
