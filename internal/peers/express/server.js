// The contender of internal/peers on Node: express-openid-connect, with its sessions
// in Redis by connect-redis, all with default settings.
import { randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import { RedisStore } from 'connect-redis';
import express from 'express';
import { createClient } from 'redis';

const { auth, requiresAuth } = createRequire(import.meta.url)('express-openid-connect');

// The end of the benchmark closes the standard input, and ends this process.
process.stdin.resume().on('end', () => process.exit());

const client = createClient({ url: `redis://${process.env.PEERS_REDIS}` });
await client.connect();

const nameOf = (n) => `Ada-${String(n).padStart(5, '0')}`;

const app = express();
app.get('/bench/cost', (req, res) => {
  const { user, system } = process.cpuUsage();
  res.json({ cpu: user + system, mallocs: 0 });
});
app.use(
  auth({
    baseURL: 'http://127.0.0.1',
    issuerBaseURL: 'http://127.0.0.1', // never asked: nobody logs in
    clientID: 'benchmark',
    secret: 'a secret of more than 32 characters for signatures',
    authRequired: false,
    errorOnRequiredAuth: true, // strangers get 401, not a way to the issuer
    session: { store: new RedisStore({ client }) },
  }),
);
app.get('/page', requiresAuth(), (req, res) => {
  res.send(
    `<!doctype html><title>Your page</title><p>Welcome back, ${req.oidc.user.given_name}. ` +
      'Nothing has changed here since the last time you came by.',
  );
});
// Writes what a login leaves in the session, by the library's own means. A page view
// reads the ID token's claims and does not verify it again, so its signature can be
// anything of the length that RS256 has.
app.get('/bench/login', (req, res) => {
  const n = Number(req.query.n);
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    iss: 'https://login.example.com/',
    sub: `2f8e4b6a90c14d53a7be${String(n).padStart(12, '0')}`,
    aud: 'benchmark',
    iat: now,
    exp: now + 36000,
    auth_time: now,
    email: `${nameOf(n)}@example.com`,
    email_verified: true,
    given_name: nameOf(n),
    family_name: 'Lovelace',
    roles: ['editor', 'reader'],
  };
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  Object.assign(req.appSession, {
    id_token: [
      part({ alg: 'RS256', typ: 'JWT' }),
      part(claims),
      randomBytes(256).toString('base64url'),
    ].join('.'),
    access_token: randomBytes(24).toString('base64url'),
    token_type: 'Bearer',
    expires_at: now + 36000,
  });
  res.send('signed in');
});

const server = app.listen(0, '127.0.0.1', () => {
  console.log(`127.0.0.1:${server.address().port}`);
});
