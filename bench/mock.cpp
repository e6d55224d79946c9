// OpenAI-like mock upstream (epoll, single thread): mock PORT [UNIX SOCKET]. model "mock-<N>-<us>":
// N SSE chunks, <us> microseconds between chunks.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>
#include <queue>
#include <string>
#include <vector>
using namespace std;
static long now_us() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000L + t.tv_nsec / 1000;
}
struct C {
  char id[13] = "000000000001";
  int fd;
  string in, out;
  int n = 0, i = 0;
  long us = 0, t0 = 0;
  bool busy = false, stream = false;
  unsigned gen = 0;
};
static int ep;
static map<int, C*> cs;
struct T {
  long t;
  int fd;
  unsigned gen;
  bool operator<(const T& o) const { return t > o.t; }
};
static priority_queue<T> pq;
static unsigned long rid_ = 0;
static char idb[13];
static string chunkframe(const string& d) {
  char h[16];
  snprintf(h, 16, "%zx\r\n", d.size());
  return string(h) + d + "\r\n";
}
static string patch(string b, const char* id) {
  size_t p = b.find("mock-000000000001");
  if (p != string::npos) b.replace(p + 5, 12, id);
  return b;
}
static string chunk(int i) {
  char b[400];
  snprintf(b, 400,
           "data: "
           "{\"id\":\"chatcmpl-mock-000000000001\",\"object\":\"chat.completion.chunk\","
           "\"created\":1700000000,\"model\":\"mock\",\"choices\":[{\"index\":0,\"delta\":{"
           "\"content\":\" tok%04d\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n",
           i);
  return chunkframe(b);
}
static string lastc(int n) {
  char b[500];
  snprintf(b, 500,
           "data: "
           "{\"id\":\"chatcmpl-mock-000000000001\",\"object\":\"chat.completion.chunk\","
           "\"created\":1700000000,\"model\":\"mock\",\"choices\":[{\"index\":0,\"delta\":{},"
           "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":%d,"
           "\"total_tokens\":%d}}\n\ndata: [DONE]\n\n",
           n, n + 20);
  return chunkframe(b) + "0\r\n\r\n";
}
static void flush(C* c) {
  while (!c->out.empty()) {
    ssize_t k = write(c->fd, c->out.data(), c->out.size());
    if (k <= 0) {
      if (errno == EAGAIN) {
        epoll_event e{};
        e.events = EPOLLIN | EPOLLOUT;
        e.data.fd = c->fd;
        epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
      }
      return;
    }
    c->out.erase(0, k);
  }
}
static void handle(C* c);
static void step(C* c) {  // emit next stream chunk(s)
  if (c->us == 0) {
    for (; c->i < c->n; c->i++) {
      c->out += patch(chunk(c->i), c->id);
      flush(c);
    }
    c->out += patch(lastc(c->n), c->id);
    flush(c);
    c->busy = false;
  } else {
    c->out += patch(chunk(c->i), c->id);
    c->i++;
    if (c->i >= c->n) {
      c->out += patch(lastc(c->n), c->id);
      flush(c);
      c->busy = false;
    } else {
      flush(c);
      pq.push({c->t0 + c->us * (c->i + 1), c->fd, c->gen});
    }
  }
}
static void handle(C* c) {
  while (!c->busy) {
    size_t p = c->in.find("\r\n\r\n");
    if (p == string::npos) return;
    size_t clen = 0, adv;
    string h = c->in.substr(0, p);
    for (auto& ch : h) ch = tolower(ch);
    size_t q = h.find("content-length:");
    bool get = h.rfind("get ", 0) == 0;
    if (q != string::npos) {
      clen = atol(h.c_str() + q + 15);
      if (c->in.size() < p + 4 + clen) return;
      adv = p + 4 + clen;
    } else if (h.find("transfer-encoding: chunked") != string::npos) {
      size_t z = c->in.find("0\r\n\r\n", p + 4);
      while (z != string::npos && !(z == p + 4 || c->in[z - 1] == '\n'))
        z = c->in.find("0\r\n\r\n", z + 1);
      if (z == string::npos) return;
      adv = z + 5;
      clen = z - p - 4;
    } else
      adv = p + 4;
    snprintf(c->id, 13, "%012lu", ++rid_);
    string body = c->in.substr(p + 4, clen);
    c->in.erase(0, adv);
    bool st = body.find("\"stream\":true") != string::npos ||
              body.find("\"stream\": true") != string::npos;
    int n = 16;
    long us = 0;
    size_t m = body.find("mock-");
    if (m != string::npos) {
      n = atoi(body.c_str() + m + 5);
      size_t d = body.find('-', m + 5);
      if (d != string::npos && d < m + 14) us = atol(body.c_str() + d + 1);
    }
    if (get) {
      string b =
          "{\"object\":\"list\",\"data\":[{\"id\":\"mock-16-0\",\"object\":\"model\",\"created\":1,"
          "\"owned_by\":\"x\",\"max_model_len\":32768},{\"id\":\"mock-64-0\",\"object\":\"model\","
          "\"created\":1,\"owned_by\":\"x\",\"max_model_len\":32768},{\"id\":\"mock-64-20000\","
          "\"object\":\"model\",\"created\":1,\"owned_by\":\"x\",\"max_model_len\":32768}]}";
      c->out += "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: " +
                to_string(b.size()) + "\r\n\r\n" + b;
      flush(c);
    } else if (!st) {
      string t;
      for (int i = 0; i < n; i++) t += "tok ";
      string b =
          "{\"id\":\"chatcmpl-mock-000000000001\",\"object\":\"chat.completion\",\"created\":"
          "1700000000,\"model\":\"mock\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
          "\"assistant\",\"content\":\"" +
          t +
          "\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":20,\"completion_"
          "tokens\":" +
          to_string(n) + ",\"total_tokens\":" + to_string(n + 20) + "}}";
      b = patch(b, c->id);
      c->out += "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: " +
                to_string(b.size()) + "\r\n\r\n" + b;
      if (us == 0)
        flush(c);
      else {
        c->busy = true;
        c->stream = false;
        c->gen++;
        pq.push({now_us() + us, c->fd, c->gen});
      }
    } else {
      c->out +=
          "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: "
          "chunked\r\n\r\n";
      flush(c);
      c->n = n;
      c->i = 0;
      c->us = us;
      c->t0 = now_us();
      c->busy = true;
      c->stream = true;
      c->gen++;
      if (us == 0)
        step(c);
      else
        pq.push({c->t0 + us, c->fd, c->gen});
    }
  }
}
static void closec(int fd) {
  auto it = cs.find(fd);
  if (it != cs.end()) {
    close(fd);
    delete it->second;
    cs.erase(it);
  }
}
int main(int a, char** v) {
  int ls = socket(AF_INET, SOCK_STREAM, 0);
  int one = 1;
  setsockopt(ls, SOL_SOCKET, SO_REUSEADDR, &one, 4);
  sockaddr_in s{};
  s.sin_family = AF_INET;
  s.sin_port = htons(atoi(v[1]));
  s.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(ls, (sockaddr*)&s, sizeof s)) {
    perror("bind");
    return 1;
  }
  listen(ls, 4096);
  fcntl(ls, F_SETFL, O_NONBLOCK);
  int us = -1;
  if (a > 2) {
    us = socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un u{};
    u.sun_family = AF_UNIX;
    strncpy(u.sun_path, v[2], sizeof u.sun_path - 1);
    unlink(v[2]);
    if (bind(us, (sockaddr*)&u, sizeof u)) {
      perror("bind unix");
      return 1;
    }
    listen(us, 4096);
    fcntl(us, F_SETFL, O_NONBLOCK);
  }
  ep = epoll_create1(0);
  epoll_event e{};
  if (us >= 0) {
    e.events = EPOLLIN;
    e.data.fd = us;
    epoll_ctl(ep, EPOLL_CTL_ADD, us, &e);
  }
  e.events = EPOLLIN;
  e.data.fd = ls;
  epoll_ctl(ep, EPOLL_CTL_ADD, ls, &e);
  vector<epoll_event> ev(1024);
  static char buf[65536];
  static unsigned gen = 0;
  for (;;) {
    int to = -1;
    if (!pq.empty()) {
      long d = pq.top().t - now_us();
      to = d <= 0 ? 0 : (int)((d + 999) / 1000);
    }
    int n = epoll_wait(ep, ev.data(), 1024, to);
    for (int i = 0; i < n; i++) {
      int fd = ev[i].data.fd;
      if (fd == ls || fd == us) {
        for (;;) {
          int f = accept4(fd, 0, 0, SOCK_NONBLOCK);
          if (f < 0) break;
          setsockopt(f, IPPROTO_TCP, TCP_NODELAY, &one, 4);
          C* c = new C;
          c->fd = f;
          c->gen = (gen += 1000000);
          cs[f] = c;
          epoll_event x{};
          x.events = EPOLLIN;
          x.data.fd = f;
          epoll_ctl(ep, EPOLL_CTL_ADD, f, &x);
        }
        continue;
      }
      auto it = cs.find(fd);
      if (it == cs.end()) continue;
      C* c = it->second;
      if (ev[i].events & EPOLLOUT) {
        flush(c);
        if (c->out.empty()) {
          epoll_event x{};
          x.events = EPOLLIN;
          x.data.fd = fd;
          epoll_ctl(ep, EPOLL_CTL_MOD, fd, &x);
        }
      }
      if (ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        bool dead = false;
        for (;;) {
          ssize_t k = read(fd, buf, sizeof buf);
          if (k > 0) {
            c->in.append(buf, k);
            if (k < (ssize_t)sizeof buf) break;
          } else {
            if (k == 0 || errno != EAGAIN) dead = true;
            break;
          }
        }
        if (dead) {
          closec(fd);
          continue;
        }
        handle(c);
      }
    }
    long t = now_us();
    while (!pq.empty() && pq.top().t <= t) {
      T x = pq.top();
      pq.pop();
      auto it = cs.find(x.fd);
      if (it == cs.end() || it->second->gen != x.gen) continue;
      C* c = it->second;
      if (c->stream)
        step(c);
      else {
        flush(c);
        c->busy = false;
      }
      if (!c->busy) handle(c);
    }
  }
}
