// httpload: sends the requests of a file to an HTTP/1.1 server over pipelined keep-alive connections and checks the
// status of every response. One thread. Prints one JSON object.
//
// Each once, as fast as the server answers:   httpload -p PORT -q FILE
// Round and round at a fixed rate:            httpload -p PORT -q FILE -r RATE
// The second form obeys lines on standard input. It starts paused. `resume` sends what came due in the pause, says
// "ready" when that is answered, and goes on at the rate; `pause` says "paused" when nothing is outstanding; `stop`
// (or the end of the input) ends it.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    connectionsMax = 64,
    depthMax = 256,
    requestMax = 4096,
    receiveSize = 1 << 16,
    reconnectsMax = 1000,
    statusMax = 600,
};

typedef struct { uint32_t offset, length; uint16_t status; uint64_t answered; } Request;
// What of a response comes next.
typedef enum { expectHead, expectBody, expectChunkSize, expectChunk, expectTrailer } Expectation;
typedef struct {
    int fd;
    uint32_t outstanding[depthMax], first, count;   // a ring: requests sent and not yet answered, oldest first
    char *sending;
    size_t sendingStart, sendingEnd;
    char received[receiveSize];
    size_t receivedLength, remaining;
    Expectation expectation;
    int status;
    bool close;
} Connection;

static struct { const char *host, *requests; int port, connections, depth; double rate, seconds; } option = {
    .host = "127.0.0.1", .connections = 4, .depth = 16, .seconds = 600};
static char *bytes;
static size_t bytesLength, bytesCapacity;
static Request *requests;
static uint32_t requestCount, requestCapacity;
static uint32_t *again, againCount;                 // requests whose connection closed before the answer
static Connection connections[connectionsMax];
static uint64_t sent, done, wrong, reconnects, statuses[statusMax], longestGap, started;
static volatile sig_atomic_t stopping;

static void stop(int signal) { (void)signal; stopping = 1; }

static void fail(const char *what) {
    fprintf(stderr, "httpload: %s: %s\n", what, strerror(errno));
    exit(2);
}

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

// Lines: METHOD PATH EXPECTED-STATUS [BODY]
static void readRequests(void) {
    FILE *file = fopen(option.requests, "r");
    if (!file) fail(option.requests);
    char line[requestMax], method[16], path[512], request[2 * requestMax];
    int status, bodyStart;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        if (sscanf(line, "%15s %511s %d %n", method, path, &status, &bodyStart) != 3) continue;
        const char *body = line + bodyStart;
        int length = snprintf(
            request, sizeof request, "%s %s HTTP/1.1\r\nHost: %s:%d\r\n%sContent-Length: %zu\r\n\r\n%s", method, path,
            option.host, option.port, *body ? "Content-Type: application/json\r\n" : "", strlen(body), body);
        if (length > requestMax) { fprintf(stderr, "httpload: request too long: %s\n", path); exit(2); }
        if (requestCount == requestCapacity) {
            requestCapacity = requestCapacity ? requestCapacity * 2 : 4096;
            if (!(requests = realloc(requests, requestCapacity * sizeof *requests))) fail("memory");
        }
        if (bytesLength + (size_t)length > bytesCapacity) {
            bytesCapacity = (bytesCapacity + (size_t)length) * 2;
            if (!(bytes = realloc(bytes, bytesCapacity))) fail("memory");
        }
        memcpy(bytes + bytesLength, request, (size_t)length);
        requests[requestCount++] =
            (Request){.offset = (uint32_t)bytesLength, .length = (uint32_t)length, .status = (uint16_t)status};
        bytesLength += (size_t)length;
    }
    fclose(file);
    if (!requestCount) { fprintf(stderr, "httpload: %s: no requests\n", option.requests); exit(2); }
    if (!(again = calloc(connectionsMax * depthMax, sizeof *again))) fail("memory");
}

static void openConnection(Connection *connection) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)option.port)};
    if (inet_pton(AF_INET, option.host, &address.sin_addr) != 1) { errno = EINVAL; fail(option.host); }
    int one = 1;
    connection->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connection->fd < 0 || connect(connection->fd, (struct sockaddr *)&address, sizeof address)) fail("connect");
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(connection->fd, F_SETFL, O_NONBLOCK);
    if (!connection->sending && !(connection->sending = malloc(depthMax * requestMax))) fail("memory");
    connection->first = connection->count = 0;
    connection->sendingStart = connection->sendingEnd = connection->receivedLength = 0;
    connection->expectation = expectHead;
    connection->close = false;
}

// The server closed: what it has not answered is asked again on a new connection.
static void reopen(Connection *connection) {
    for (; connection->count; connection->count--, connection->first++)
        again[againCount++] = connection->outstanding[connection->first % depthMax];
    close(connection->fd);
    if (++reconnects > reconnectsMax) { errno = ECONNRESET; fail("the server keeps closing connections"); }
    openConnection(connection);
}

static void flush(Connection *connection) {
    while (connection->sendingStart < connection->sendingEnd) {
        ssize_t length = send(connection->fd, connection->sending + connection->sendingStart,
                              connection->sendingEnd - connection->sendingStart, MSG_NOSIGNAL);
        if (length < 0) return;     // full, or closed: then reading says so
        connection->sendingStart += (size_t)length;
    }
    connection->sendingStart = connection->sendingEnd = 0;
}

static bool hasRoom(const Connection *connection) {
    return connection->count < (uint32_t)option.depth &&
           connection->sendingEnd + requestMax <= (size_t)depthMax * requestMax;
}

static void enqueue(Connection *connection, uint32_t index) {
    const Request *request = &requests[index];
    memcpy(connection->sending + connection->sendingEnd, bytes + request->offset, request->length);
    connection->sendingEnd += request->length;
    connection->outstanding[(connection->first + connection->count++) % depthMax] = index;
}

// MARK: responses

static void complete(Connection *connection) {
    if (!connection->count) { errno = EPROTO; fail("a response that nobody asked for"); }
    Request *request = &requests[connection->outstanding[connection->first++ % depthMax]];
    connection->count--;
    connection->expectation = expectHead;
    done++;
    statuses[connection->status]++;
    if (connection->status != request->status) {
        if (!wrong++)
            fprintf(stderr, "httpload: status %d instead of %d: %.*s\n", connection->status, request->status,
                    (int)strcspn(bytes + request->offset, "\r"), bytes + request->offset);
        return;
    }
    uint64_t time = now(), gap = time - (request->answered ? request->answered : started);
    if (gap > longestGap) longestGap = gap;
    request->answered = time;
}

static bool hasToken(const char *value, size_t length, const char *token) {
    return length >= strlen(token) && !strncasecmp(value + length - strlen(token), token, strlen(token));
}

// Reads a response head that ends at `length`.
static void readHead(Connection *connection, const char *head, size_t length) {
    if (length < 12 || strncmp(head, "HTTP/1.1 ", 9)) { errno = EPROTO; fail("a response without status line"); }
    connection->status = atoi(head + 9);
    if (connection->status < 100 || connection->status >= statusMax) { errno = EPROTO; fail("a strange status"); }
    bool chunked = false;
    connection->remaining = 0;
    for (const char *line = head; (line = memmem(line, (size_t)(head + length - line), "\r\n", 2));) {
        line += 2;
        size_t size = (size_t)((const char *)memmem(line, (size_t)(head + length - line), "\r\n", 2) - line);
        if (size == 0) break;
        if (!strncasecmp(line, "content-length:", 15)) connection->remaining = strtoull(line + 15, NULL, 10);
        if (!strncasecmp(line, "transfer-encoding:", 18)) chunked = hasToken(line, size, "chunked");
        if (!strncasecmp(line, "connection:", 11)) connection->close = hasToken(line, size, "close");
    }
    if (chunked) connection->expectation = expectChunkSize;
    else if (connection->remaining) connection->expectation = expectBody;
    else complete(connection);
}

// Reads one piece of a response from `text`; returns its length, 0 when more must be received first.
static size_t readPiece(Connection *connection, const char *text, size_t length) {
    if (connection->expectation == expectBody || connection->expectation == expectChunk) {
        size_t taken = length < connection->remaining ? length : connection->remaining;
        connection->remaining -= taken;
        if (connection->remaining) return taken;
        if (connection->expectation == expectBody) complete(connection);
        else connection->expectation = expectChunkSize;
        return taken;
    }
    const char *mark = connection->expectation == expectHead ? "\r\n\r\n" : "\r\n";
    const char *end = memmem(text, length, mark, strlen(mark));
    if (!end) {
        if (length == receiveSize) { errno = EPROTO; fail("a response head that is too long"); }
        return 0;
    }
    size_t taken = (size_t)(end - text) + strlen(mark);
    if (connection->expectation == expectHead) readHead(connection, text, taken);
    else if (connection->expectation == expectTrailer) { if (end == text) complete(connection); }
    else {
        size_t chunk = strtoull(text, NULL, 16);
        connection->remaining = chunk + 2;  // with the line end behind it
        connection->expectation = chunk ? expectChunk : expectTrailer;
    }
    return taken;
}

static void receive(Connection *connection) {
    for (;;) {
        ssize_t length = recv(connection->fd, connection->received + connection->receivedLength,
                              receiveSize - connection->receivedLength, 0);
        if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (length <= 0) { reopen(connection); return; }
        size_t start = 0, end = connection->receivedLength + (size_t)length;
        for (size_t taken; start < end && (taken = readPiece(connection, connection->received + start, end - start));)
            start += taken;
        memmove(connection->received, connection->received + start, end - start);
        connection->receivedLength = end - start;
        if (connection->close && connection->expectation == expectHead) { reopen(connection); return; }
    }
}

static uint32_t outstanding(void) {
    uint32_t total = againCount;
    for (int i = 0; i < option.connections; i++) total += connections[i].count;
    return total;
}

static void waitForEvents(int milliseconds, bool commands, bool *input) {
    struct pollfd events[connectionsMax + 1];
    for (int i = 0; i < option.connections; i++)
        events[i] = (struct pollfd){.fd = connections[i].fd,
                                    .events = (short)(POLLIN | (connections[i].sendingEnd ? POLLOUT : 0))};
    events[option.connections] = (struct pollfd){.fd = commands ? STDIN_FILENO : -1, .events = POLLIN};
    poll(events, (nfds_t)option.connections + 1, milliseconds);
    for (int i = 0; i < option.connections; i++) {
        if (events[i].revents & POLLOUT) flush(&connections[i]);
        if (events[i].revents & ~POLLOUT) receive(&connections[i]);
    }
    *input = events[option.connections].revents != 0;
}

// MARK: the two ways to run

static void runOnce(void) {
    uint32_t next = 0;
    bool input;
    uint64_t end = started + (uint64_t)(option.seconds * 1e9);
    while (done < requestCount && !stopping && now() < end) {
        for (int i = 0; i < option.connections; i++) {
            // Whole batches: one write, several requests.
            if ((int)connections[i].count > option.depth / 2) continue;
            while (hasRoom(&connections[i]) && (againCount || next < requestCount)) {
                enqueue(&connections[i], againCount ? again[--againCount] : next++);
                sent++;
            }
            flush(&connections[i]);
        }
        waitForEvents(100, false, &input);
    }
}

static bool obey(const char *line, bool *running) {
    if (!strncmp(line, "stop", 4)) return false;
    *running = !strncmp(line, "resume", 6);
    return true;
}

static void say(const char *word) {
    puts(word);
    fflush(stdout);
}

static void runAtRate(void) {
    bool running = false, answer = false, input = false;
    uint64_t next = 0, end = started + (uint64_t)(option.seconds * 1e9);
    char line[64];
    while (!stopping && now() < end) {
        uint64_t due = (uint64_t)((double)(now() - started) / 1e9 * option.rate);
        for (int turn = 0; turn < option.connections && running; turn++) {
            Connection *connection = &connections[(next + (uint64_t)turn) % (uint64_t)option.connections];
            while (hasRoom(connection) && (againCount || next < due)) {
                enqueue(connection, againCount ? again[--againCount] : (uint32_t)(next++ % requestCount));
                sent++;
                // One at a time while on schedule, spread over the connections, as single clients would send them.
                if (due - next < 8) break;
            }
            flush(connection);
        }
        if (answer && outstanding() == 0 && (!running || next >= due)) {
            say(running ? "ready" : "paused");
            answer = false;
        }
        waitForEvents(1, true, &input);
        if (!input) continue;
        if (!fgets(line, sizeof line, stdin) || !obey(line, &running)) break;
        answer = true;
    }
}

int main(int argc, char **argv) {
    for (int flag; (flag = getopt(argc, argv, "s:p:q:c:d:r:l:")) != -1;) switch (flag) {
        case 's': option.host = optarg; break;
        case 'p': option.port = atoi(optarg); break;
        case 'q': option.requests = optarg; break;
        case 'c': option.connections = atoi(optarg); break;
        case 'd': option.depth = atoi(optarg); break;
        case 'r': option.rate = atof(optarg); break;
        case 'l': option.seconds = atof(optarg); break;
        default: return 2;
    }
    if (!option.requests || option.port < 1 || option.connections < 1 || option.connections > connectionsMax ||
        option.depth < 1 || option.depth > depthMax || optind != argc) {
        fprintf(stderr, "usage: httpload -p PORT -q FILE [-s ADDRESS] [-c CONNECTIONS] [-d REQUESTS-IN-FLIGHT-EACH]\n"
                        "  [-r RATE (round and round)] [-l SECONDS-AT-MOST]\n");
        return 2;
    }
    signal(SIGTERM, stop);
    signal(SIGINT, stop);
    setvbuf(stdin, NULL, _IONBF, 0);
    readRequests();
    for (int i = 0; i < option.connections; i++) openConnection(&connections[i]);
    started = now();
    (option.rate > 0 ? runAtRate : runOnce)();
    uint64_t ended = now();
    // For requests that are repeated: the longest time in which one of them went without its answer.
    for (uint32_t i = 0; i < requestCount && option.rate > 0; i++) {
        uint64_t gap = ended - (requests[i].answered ? requests[i].answered : started);
        if (gap > longestGap) longestGap = gap;
    }
    printf("{\"requests\":%u,\"sent\":%llu,\"answered\":%llu,\"wrong\":%llu,\"reconnects\":%llu,\"seconds\":%.4f,"
           "\"longest_gap_seconds\":%.3f,\"statuses\":{", requestCount, (unsigned long long)sent,
           (unsigned long long)done, (unsigned long long)wrong, (unsigned long long)reconnects,
           (double)(ended - started) / 1e9, (double)longestGap / 1e9);
    const char *separator = "";
    for (int status = 0; status < statusMax; status++) {
        if (!statuses[status]) continue;
        printf("%s\"%d\":%llu", separator, status, (unsigned long long)statuses[status]);
        separator = ",";
    }
    printf("}}\n");
    return 0;
}
