// What io_uring.ts is measured against: the least that epoll(7) asks for, in C.
//   cc -O2 -o /tmp/epoll_echo bench/epoll_echo.c && /tmp/epoll_echo 5667
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

int main(int argc, char **argv) {
  static char inbox[65536];
  struct sockaddr_in at = {AF_INET, htons(argc > 1 ? atoi(argv[1]) : 5667)};
  int listener = socket(AF_INET, SOCK_STREAM, 0), ep = epoll_create1(0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
  if (bind(listener, (void *)&at, sizeof at) || listen(listener, 4096)) return 1;
  struct epoll_event ready[256], event = {EPOLLIN, {.fd = listener}};
  for (epoll_ctl(ep, EPOLL_CTL_ADD, listener, &event);;) {
    for (int n = epoll_wait(ep, ready, 256, -1), i = 0; i < n; i++) {
      int fd = ready[i].data.fd, length = 0;
      if (fd == listener) {
        event.data.fd = accept(listener, NULL, NULL);
        epoll_ctl(ep, EPOLL_CTL_ADD, event.data.fd, &event);
      } else if ((length = recv(fd, inbox, sizeof inbox, 0)) <= 0) close(fd);
      else send(fd, inbox, length, MSG_NOSIGNAL);
    }
  }
}
