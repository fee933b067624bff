/*
 * The floor: what the system calls alone cost. One epoll loop in C. `epoll echo`
 * looks at nothing it reads, and sends it back. `epoll http` takes each read for
 * one request, looks at its method and its path, and would be wrong on the first
 * request that comes in two pieces.
 *
 *   cc -O2 -o /tmp/epoll epoll.c && /tmp/epoll http
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_EVENTS 256

#define HEAD(status, fields, size)                                             \
  "HTTP/1.1 " status "\r\n" fields "Content-Length: " size "\r\n\r\n"
#define TEXT "Content-Type: text/plain; charset=utf-8\r\n"
#define PAGE HEAD("200 OK", TEXT, "13")

static int begins_with(const char *data, const char *text) {
  return strncmp(data, text, strlen(text)) == 0;
}

/* The response to a request that is not empty; its size goes to `size`. */
static const char *respond(const char *data, size_t got, size_t *size) {
  const char *response;
  if (begins_with(data, "GET / ")) {
    response = PAGE "Hello, world!";
  } else if (begins_with(data, "POST / ")) {
    static char echo[2 * 65536];
    const char *end = memmem(data, got, "\r\n\r\n", 4);
    const char *body = end ? end + 4 : data + got;
    size_t length = data + got - body;
    size_t head = sprintf(echo, HEAD("200 OK", "", "%zu"), length);
    memcpy(echo + head, body, length);
    *size = head + length;
    return echo;
  } else if (begins_with(data, "HEAD / ")) {
    response = PAGE;
  } else if (begins_with(data, "OPTIONS / ")) {
    response = HEAD("200 OK", "Allow: GET, HEAD, POST\r\n", "0");
  } else {
    response = HEAD("404 Not Found", TEXT, "10") "Not Found\n";
  }
  *size = strlen(response);
  return response;
}

static void check(const char *call, int result) {
  if (result != -1) return;
  perror(call);
  exit(1);
}

int main(int argc, char **argv) {
  int http = argc > 1 && strcmp(argv[1], "http") == 0;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  struct sockaddr_in at = {.sin_family = AF_INET};
  socklen_t length = sizeof at;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  check("bind", bind(listener, (struct sockaddr *)&at, sizeof at));
  check("listen", listen(listener, SOMAXCONN));
  check("getsockname",
        getsockname(listener, (struct sockaddr *)&at, &length));

  int epfd = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
  check("epoll_ctl", epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event));
  printf("listening on 127.0.0.1:%d\n", ntohs(at.sin_port));
  fflush(stdout);

  static struct epoll_event ready[MAX_EVENTS];
  static char data[65536 + 1]; /* a 0 is after what was read */
  for (;;) {
    int n = epoll_wait(epfd, ready, MAX_EVENTS, -1);
    for (int i = 0; i < n; i++) {
      int fd = ready[i].data.fd;
      if (fd != listener) {
        ssize_t got = recv(fd, data, sizeof data - 1, 0);
        if (got > 0) {
          size_t size = got;
          const char *answer = http ? respond(data, got, &size) : data;
          if (send(fd, answer, size, MSG_NOSIGNAL) == (ssize_t)size) continue;
        }
        close(fd);
        continue;
      }
      int peer;
      while ((peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) != -1) {
        event.data.fd = peer;
        check("epoll_ctl", epoll_ctl(epfd, EPOLL_CTL_ADD, peer, &event));
      }
    }
  }
}
