/*
 * The floor: what the system calls alone cost. One epoll loop in C that looks
 * at nothing it reads. `epoll echo` sends it back; `epoll http` answers each
 * read with the same response, and would be wrong on the first request that
 * comes in two pieces.
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

static const char response[] =
    "HTTP/1.1 200 OK\r\n"
    "Content-Type: text/plain; charset=utf-8\r\n"
    "Content-Length: 13\r\n\r\n"
    "Hello, world!";

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
  static char data[65536];
  for (;;) {
    int n = epoll_wait(epfd, ready, MAX_EVENTS, -1);
    for (int i = 0; i < n; i++) {
      int fd = ready[i].data.fd;
      if (fd != listener) {
        ssize_t got = recv(fd, data, sizeof data, 0);
        if (got > 0) {
          const char *answer = http ? response : data;
          size_t size = http ? sizeof response - 1 : (size_t)got;
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
