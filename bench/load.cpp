// load <port or unix socket> <path> <conns> <secs> <stream 0/1> <model> <token> [pad_bytes]
// [stagger_ms] [rate: open-loop req/s, 0=closed] [tokenfile: one token per line]
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <deque>
#include <fstream>
#include <map>
#include <string>
#include <vector>
using namespace std;
static long now_us() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000L + t.tv_nsec / 1000;
}
static int port;
static string local;
static vector<string> reqs;
static int ep;
static bool stream_;
static long want;
static size_t rr = 0;
static vector<unsigned> ttfb, tot, itl;
static long err_ = 0, bad_ = 0, evs = 0;
static map<int, long> codes;
struct C {
  int fd = -1;
  int k;
  string head;
  bool inhead = true;
  long cl = -1;
  size_t body = 0;
  long ev = 0;
  int code = 0;
  bool closeh = false;
  string tail, carry;
  long t = 0, last = 0, start = 0;
  bool first = true;
  vector<unsigned> it;
  bool idle = true;
  unsigned tf = 0;
  string pend;
};
static double pct(vector<unsigned>& v, double p) {
  if (v.empty()) return 0;
  size_t i = (size_t)((v.size() - 1) * p + .5);
  nth_element(v.begin(), v.begin() + i, v.end());
  return v[i] / 1000.0;
}
static bool conn(C* c) {
  if (!local.empty()) {
    c->fd = socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un u{};
    u.sun_family = AF_UNIX;
    strncpy(u.sun_path, local.c_str(), sizeof u.sun_path - 1);
    if (connect(c->fd, (sockaddr*)&u, sizeof u)) {
      close(c->fd);
      c->fd = -1;
      return false;
    }
  } else {
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in s{};
    s.sin_family = AF_INET;
    s.sin_port = htons(port);
    s.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(c->fd, (sockaddr*)&s, sizeof s)) {
      close(c->fd);
      c->fd = -1;
      return false;
    }
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, 4);
  }
  fcntl(c->fd, F_SETFL, O_NONBLOCK);
  epoll_event e{};
  e.events = EPOLLIN;
  e.data.ptr = c;
  epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e);
  return true;
}
static void drop(C* c) {
  if (c->fd >= 0) close(c->fd);
  c->fd = -1;
}
static bool send_(C* c, long sched) {
  for (int tr = 0; tr < 3; tr++) {
    if (c->fd < 0 && !conn(c)) {
      err_++;
      usleep(1000);
      continue;
    }
    c->inhead = true;
    c->head.clear();
    c->cl = -1;
    c->body = 0;
    c->ev = 0;
    c->code = 0;
    c->closeh = false;
    c->tail.clear();
    c->carry.clear();
    c->first = true;
    c->it.clear();
    c->idle = false;
    c->t = sched ? sched : now_us();
    c->last = c->t;
    const string& r = reqs[rr++ % reqs.size()];
    size_t o = 0;
    while (o < r.size()) {
      ssize_t k = write(c->fd, r.data() + o, r.size() - o);
      if (k <= 0) {
        if (errno == EAGAIN) {
          usleep(100);
          continue;
        }
        break;
      }
      o += k;
    }
    if (o == r.size()) return true;
    drop(c);
  }
  err_++;
  c->idle = true;
  return false;
}
static long countev(string& carry, const char* d0, size_t n0) {
  carry.append(d0, n0);
  const char* d = carry.data();
  size_t n = carry.size();
  long k = 0;
  const char *p = d, *e = d + n;
  while ((p = (const char*)memmem(p, e - p, "data: ", 6))) {
    k++;
    p += 6;
    d = p;
  }
  size_t keep = min<size_t>(5, e - d);
  carry = string(e - keep, keep);
  return k;
}
// returns true when response complete
static bool feed(C* c, const char* d, size_t n) {
  string tmp;
  if (c->inhead) {
    c->head.append(d, n);
    size_t p = c->head.find("\r\n\r\n");
    if (p == string::npos) return false;
    tmp = c->head.substr(p + 4);
    string h = c->head.substr(0, p);
    for (auto& x : h) x = tolower(x);
    c->code = atoi(h.c_str() + 9);
    c->closeh = h.find("connection: close") != string::npos;
    size_t q = h.find("content-length:");
    if (q != string::npos) c->cl = atol(h.c_str() + q + 15);
    c->inhead = false;
    d = tmp.data();
    n = tmp.size();
    if (n == 0 && c->cl != 0) return false;
  }
  long t = now_us();
  if (c->first) {
    c->tf = t - c->t;
    c->first = false;
  } else
    c->it.push_back(t - c->last);
  c->last = t;
  c->body += n;
  c->ev += countev(c->carry, d, n);
  c->tail.append(d + (n > 8 ? n - 8 : 0), n > 8 ? 8 : n);
  if (c->tail.size() > 8) c->tail.erase(0, c->tail.size() - 8);
  bool done = c->cl >= 0 ? c->body >= (size_t)c->cl
                         : (c->tail.size() >= 5 &&
                            !memcmp(c->tail.data() + c->tail.size() - 5, "0\r\n\r\n", 5));
  if (done) {
    codes[c->code]++;
    if (c->code != 200 || (stream_ && (want < 0 ? c->ev < 2 : c->ev != want)))
      bad_++;
    else {
      tot.push_back(t - c->t);
      ttfb.push_back(c->tf);
      itl.insert(itl.end(), c->it.begin(), c->it.end());
    }
    evs += c->ev;
    if (c->closeh) drop(c);
    c->idle = true;
  }
  return done;
}
int main(int a, char** v) {
  if (v[1][0] == '/')
    local = v[1];
  else
    port = atoi(v[1]);
  string path = v[2];
  int conns = atoi(v[3]);
  double secs = atof(v[4]);
  stream_ = v[5][0] == '1';
  string model = v[6];
  string token = a > 7 ? v[7] : "";
  int pad = a > 8 ? atoi(v[8]) : 200;
  long stag = a > 9 ? atol(v[9]) : 0;
  double rate = a > 10 ? atof(v[10]) : 0;
  vector<string> toks;
  if (a > 11) {
    ifstream f(v[11]);
    string l;
    while (getline(f, l)) toks.push_back(l);
  } else
    toks.push_back(token);
  string cont;
  for (int i = 0; i < pad / 8; i++) cont += "bonjour ";
  string body = "{\"model\":\"" + model + "\"," + (stream_ ? "\"stream\":true," : "") +
                "\"messages\":[{\"role\":\"system\",\"content\":\"Vous etes un "
                "assistant.\"},{\"role\":\"user\",\"content\":\"" +
                cont + "\"}],\"temperature\":0.2,\"max_tokens\":256}";
  for (auto& t : toks)
    reqs.push_back("POST " + path + " HTTP/1.1\r\nhost: 127.0.0.1:" + to_string(port) +
                   "\r\ncontent-type: application/json\r\nauthorization: Bearer " + t +
                   "\r\ncontent-length: " + to_string(body.size()) + "\r\n\r\n" + body);
  size_t d = model.find('-');
  want = (d != string::npos ? atol(model.c_str() + d + 1) : 0) + 2;
  if (getenv("WANT")) want = atol(getenv("WANT"));
  ep = epoll_create1(0);
  vector<C*> cs;
  for (int i = 0; i < conns; i++) {
    C* c = new C;
    c->k = i;
    cs.push_back(c);
  }
  long t0 = now_us(), end = t0 + (long)(secs * 1e6);
  size_t started = 0;
  vector<epoll_event> ev(1024);
  static char buf[262144];
  long active = 0;
  long sent = 0, maxbacklog = 0;
  deque<C*> freeq;
  if (rate > 0) {
    for (auto c : cs) freeq.push_back(c);
  }
  for (;;) {
    long t = now_us();
    if (rate <= 0) {
      while (started < cs.size() && t < end &&
             t - t0 >= stag * 1000L * (long)started / (long)cs.size()) {
        C* c = cs[started++];
        if (send_(c, 0)) active++;
      }
    } else {
      while (t < end) {
        long due = t0 + (long)(sent * 1e6 / rate);
        if (due > t) break;
        if (freeq.empty()) {
          long lag = (t - due);
          if (lag > maxbacklog) maxbacklog = lag;
          break;
        }
        C* c = freeq.front();
        freeq.pop_front();
        sent++;
        if (send_(c, due))
          active++;
        else
          freeq.push_back(c);
      }
    }
    if (t >= end && active == 0) break;
    if (t >= end + 20000000L) {
      err_ += active;
      break;
    }
    int to = rate > 0 ? 1 : (started < cs.size() ? 1 : 100);
    int n = epoll_wait(ep, ev.data(), 1024, to);
    for (int i = 0; i < n; i++) {
      C* c = (C*)ev[i].data.ptr;
      if (c->fd < 0) continue;
      ssize_t k = read(c->fd, buf, sizeof buf);
      if (k <= 0) {
        if (k < 0 && errno == EAGAIN) continue;
        drop(c);
        if (!c->idle) {
          err_++;
          c->idle = true;
          active--;
          if (rate > 0)
            freeq.push_back(c);
          else if (now_us() < end && send_(c, 0))
            active++;
        }
        continue;
      }
      if (!c->idle && feed(c, buf, k)) {
        active--;
        if (rate > 0)
          freeq.push_back(c);
        else if (now_us() < end && send_(c, 0))
          active++;
      }
    }
  }
  double el = (now_us() - t0) / 1e6;
  double elw = min(el, max(secs, 0.001));
  (void)elw;
  string cj;
  for (auto& x : codes)
    cj += (cj.empty() ? "" : ",") + string("\"") + to_string(x.first) + "\":" + to_string(x.second);
  printf(
      "{\"n\":%zu,\"err\":%ld,\"bad\":%ld,\"el\":%.2f,\"rps\":%.1f,\"ev_s\":%.0f,\"tot_p50\":%.3f,"
      "\"tot_p95\":%.3f,\"tot_p99\":%.3f,\"ttfb_p50\":%.3f,\"ttfb_p95\":%.3f,\"ttfb_p99\":%.3f,"
      "\"itl_p50\":%.3f,\"itl_p99\":%.3f,\"backlog_ms\":%.1f,\"codes\":{%s}}\n",
      tot.size(), err_, bad_, el, tot.size() / el, evs / el, pct(tot, .5), pct(tot, .95),
      pct(tot, .99), pct(ttfb, .5), pct(ttfb, .95), pct(ttfb, .99), pct(itl, .5), pct(itl, .99),
      maxbacklog / 1000.0, cj.c_str());
}
