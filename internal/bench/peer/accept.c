/* The limit: a loop that accepts a connection, reads one question, writes one
   answer and closes. Nothing faster answers a connection per question in C with
   one blocking thread per processor.
   usage: accept SOCKET THREADS ANSWER */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int listener;
static const char *answer;
static size_t length;

static void *loop(void *unused) {
  char question[16384];
  (void)unused;
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
      continue;
    if (recv(fd, question, sizeof question, 0) > 0)
      send(fd, answer, length, MSG_NOSIGNAL);
    close(fd);
  }
  return NULL;
}

int main(int argc, char **argv) {
  struct sockaddr_un at = {.sun_family = AF_UNIX};
  pthread_t thread;
  if (argc != 4 || strlen(argv[1]) >= sizeof at.sun_path)
    return 2;
  strcpy(at.sun_path, argv[1]);
  answer = argv[3];
  length = strlen(answer);
  listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 4096)) {
    perror(at.sun_path);
    return 1;
  }
  for (int i = atoi(argv[2]); i > 1; i--)
    if (pthread_create(&thread, NULL, loop, NULL))
      return 1;
  loop(NULL);
  return 0;
}
