// dnsload: asks a DNS server as fast as it answers (or at a fixed rate), checks every answer, and reads the server's
// CPU time around the measured part. One thread. Prints one JSON object.
//
// The number of outstanding questions is bounded. An answer counts only when its id, QR bit, question, RCODE and least
// number of answer records fit; a question without an answer is lost after one second. At a fixed rate (-r) the loop is
// open: latency counts from the time at which the question was due, sent or not.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/tcp.h>
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
    batchSize = 64,         // messages of one recvmmsg or sendmmsg
    slotBits = 10,          // outstanding questions of one socket, at most
    slotCount = 1 << slotBits,
    receiveSize = 8192,
    carrySize = 1 << 18,    // TCP: several whole answers of 65,535 octets
    writeSize = 1 << 16,
    lostAfter = 1000000000, // nanoseconds
    retriesMax = 5,
    threadsMax = 512,
};

typedef struct { uint32_t offset; uint16_t length, questionLength, minAnswers; uint8_t rcode, tries; } Query;
typedef struct { uint64_t sent; uint32_t query; uint16_t id; bool live; } Slot;
typedef struct {
    int fd;
    uint32_t outstanding, freeCount, turn;
    Slot slots[slotCount];
    uint16_t freeSlots[slotCount];
    uint8_t *carry, *pending;       // TCP: what was read of an unfinished frame; what the socket did not take yet
    size_t carried, pendingStart, pendingEnd;
} Connection;
typedef struct { int pid, tid; char name[16]; uint64_t runtime; } Thread;

static struct {
    const char *host, *queries, *pids;
    int port, connections, window, edns;
    double seconds, warmup, rate;
    uint32_t first;
    bool tcp, once, truncationAllowed;
} option = {.host = "127.0.0.1", .connections = 12, .window = 192, .seconds = 1, .warmup = 0.3};

static uint8_t *wire;               // all questions as they are sent, one after the other
static size_t wireLength, wireCapacity;
static Query *queries;
static uint32_t queryCount, queryCapacity, cursor, asked;
static uint32_t *again, againCount; // once: questions whose answer was lost
static struct {
    uint64_t ok, badRcode, badCount, badQuestion, unknown, lost, truncated, answers, octets, blocked;
} count;
static uint32_t histogram[4096];
static bool measuring;
static volatile sig_atomic_t stopping;

static void stop(int signal) { (void)signal; stopping = 1; }

static void fail(const char *what) {
    fprintf(stderr, "dnsload: %s: %s\n", what, strerror(errno));
    exit(2);
}

static uint64_t now(clockid_t clock) {
    struct timespec time;
    if (clock_gettime(clock, &time)) return 0;
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

// MARK: latency, log-linear: 64 buckets for each power of two nanoseconds

static void record(uint64_t value) {
    int index = (int)value;
    if (value >= 64) {
        int exponent = 63 - __builtin_clzll(value);
        index = (exponent - 5) * 64 + (int)((value >> (exponent - 6)) & 63);
    }
    histogram[index < 4096 ? index : 4095]++;
}

static double percentile(double part) {
    uint64_t total = 0, seen = 0;
    for (int i = 0; i < 4096; i++) total += histogram[i];
    for (int i = 0; i < 4096; i++) {
        seen += histogram[i];
        if ((double)seen > part * (double)total) {
            uint64_t value = i < 64 ? (uint64_t)i : (1ull << (i / 64 + 5)) | ((uint64_t)(i % 64) << (i / 64 - 1));
            return (double)value / 1000;
        }
    }
    return 0;
}

// MARK: the server's CPU time

// Nanoseconds on a CPU of all threads of the processes, ended threads included: the scheduler's count that also stands,
// for each living thread, in /proc/<pid>/task/*/schedstat.
static uint64_t serverTime(void) {
    uint64_t total = 0;
    for (const char *p = option.pids; p && *p; p += strcspn(p, ","), p += *p == ',') {
        clockid_t clock;
        if (!clock_getcpuclockid(atoi(p), &clock)) total += now(clock);
    }
    return total;
}

// The same for each living thread, to tell the parts of a server apart by the threads' names.
static int threadTimes(Thread *threads) {
    int found = 0;
    for (const char *p = option.pids; p && *p; p += strcspn(p, ","), p += *p == ',') {
        char path[300];
        int pid = atoi(p);
        snprintf(path, sizeof path, "/proc/%d/task", pid);
        DIR *directory = opendir(path);
        if (!directory) continue;
        for (struct dirent *entry; (entry = readdir(directory)) && found < threadsMax;) {
            Thread *thread = &threads[found];
            if (!isdigit((unsigned char)entry->d_name[0])) continue;
            *thread = (Thread){.pid = pid, .tid = atoi(entry->d_name)};
            snprintf(path, sizeof path, "/proc/%d/task/%d/schedstat", pid, thread->tid);
            FILE *file = fopen(path, "r");
            if (!file) continue;
            unsigned long long runtime = 0;
            if (fscanf(file, "%llu", &runtime) == 1) thread->runtime = runtime;
            fclose(file);
            snprintf(path, sizeof path, "/proc/%d/task/%d/comm", pid, thread->tid);
            if ((file = fopen(path, "r"))) {
                if (fscanf(file, "%15[^\n]", thread->name) != 1) thread->name[0] = 0;
                fclose(file);
            }
            found++;
        }
        closedir(directory);
    }
    return found;
}

// MARK: questions

static void append(const void *bytes, size_t length) {
    if (wireLength + length > wireCapacity) {
        wireCapacity = (wireCapacity + length) * 2;
        if (!(wire = realloc(wire, wireCapacity))) fail("memory");
    }
    memcpy(wire + wireLength, bytes, length);
    wireLength += length;
}

static int typeCode(const char *name) {
    static const struct { const char *name; int code; } types[] = {
        {"A", 1}, {"NS", 2}, {"SOA", 6}, {"TXT", 16}, {"AAAA", 28}, {"SRV", 33}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(name, types[i].name)) return types[i].code;
    return atoi(name);
}

// Lines: NAME TYPE RCODE LEAST-NUMBER-OF-ANSWER-RECORDS
static void readQueries(void) {
    FILE *file = fopen(option.queries, "r");
    if (!file) fail(option.queries);
    char line[512], name[256], type[16];
    int rcode, minAnswers;
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "%255s %15s %d %d", name, type, &rcode, &minAnswers) != 4) continue;
        if (queryCount == queryCapacity) {
            queryCapacity = queryCapacity ? queryCapacity * 2 : 4096;
            if (!(queries = realloc(queries, queryCapacity * sizeof *queries))) fail("memory");
        }
        Query *query = &queries[queryCount++];
        *query = (Query){.offset = (uint32_t)wireLength, .rcode = (uint8_t)rcode, .minAnswers = (uint16_t)minAnswers};
        append((uint8_t[12]){[5] = 1, [11] = option.edns ? 1 : 0}, 12);
        for (char *label = name; *label;) {
            size_t length = strcspn(label, ".");
            if (length > 63) { fprintf(stderr, "dnsload: label too long: %s\n", name); exit(2); }
            if (length) { append((uint8_t[1]){(uint8_t)length}, 1); append(label, length); }
            label += length + (label[length] == '.');
        }
        int code = typeCode(type);
        append((uint8_t[5]){0, (uint8_t)(code >> 8), (uint8_t)code, 0, 1}, 5);
        query->questionLength = (uint16_t)(wireLength - query->offset - 12);
        if (option.edns) append((uint8_t[11]){0, 0, 41, (uint8_t)(option.edns >> 8), (uint8_t)option.edns}, 11);
        query->length = (uint16_t)(wireLength - query->offset);
    }
    fclose(file);
    if (!queryCount) { fprintf(stderr, "dnsload: %s: no questions\n", option.queries); exit(2); }
    cursor = option.first % queryCount;
    if (!(again = calloc(queryCount, sizeof *again))) fail("memory");
}

// The next question to ask; false when all were asked once.
static bool nextQuery(uint32_t *query) {
    if (againCount) { *query = again[--againCount]; return true; }
    if (option.once && asked == queryCount) return false;
    *query = cursor;
    if (++cursor == queryCount) cursor = 0;
    asked += option.once;
    return true;
}

// Writes the next question with an id of its own; returns its length, 0 when there is none to ask.
static size_t arm(Connection *connection, uint8_t *to, uint64_t time) {
    uint32_t next;
    if (!connection->freeCount || !nextQuery(&next)) return 0;
    Query *query = &queries[next];
    uint16_t place = connection->freeSlots[--connection->freeCount];
    // The upper bits differ at each use of a slot, so that a late answer is not taken for a new one.
    uint16_t id = (uint16_t)(connection->turn++ << slotBits | place);
    connection->slots[place] = (Slot){.sent = time, .query = next, .id = id, .live = true};
    connection->outstanding++;
    memcpy(to, wire + query->offset, query->length);
    to[0] = (uint8_t)(id >> 8);
    to[1] = (uint8_t)id;
    return query->length;
}

static void release(Connection *connection, Slot *slot) {
    slot->live = false;
    connection->outstanding--;
    connection->freeSlots[connection->freeCount++] = (uint16_t)(slot - connection->slots);
}

// MARK: answers

static void check(Connection *connection, const uint8_t *answer, size_t length, uint64_t time) {
    if (length < 12 || !(answer[2] & 0x80)) { count.unknown++; return; }
    uint16_t id = (uint16_t)(answer[0] << 8 | answer[1]);
    Slot *slot = &connection->slots[id & (slotCount - 1)];
    if (!slot->live || slot->id != id) { count.unknown++; return; }
    const Query *query = &queries[slot->query];
    uint64_t sent = slot->sent;
    release(connection, slot);
    if (measuring) record(time > sent ? time - sent : 0);
    if (length < 12u + query->questionLength || memcmp(answer + 12, wire + query->offset + 12, query->questionLength)) {
        count.badQuestion++;
        return;
    }
    bool truncated = answer[2] & 2;
    int answers = answer[6] << 8 | answer[7];
    count.truncated += truncated;
    if ((answer[3] & 15) != query->rcode) { count.badRcode++; return; }
    if (answers < query->minAnswers && !(truncated && option.truncationAllowed)) { count.badCount++; return; }
    count.ok++;
    count.answers += (uint64_t)answers;
    count.octets += length;
}

static void dropLost(Connection *connections, uint64_t time) {
    for (int i = 0; i < option.connections; i++) {
        Connection *connection = &connections[i];
        for (int place = 0; connection->outstanding && place < slotCount; place++) {
            Slot *slot = &connection->slots[place];
            if (!slot->live || time < slot->sent + lostAfter) continue;
            release(connection, slot);
            count.lost++;
            if (option.once && ++queries[slot->query].tries < retriesMax) again[againCount++] = slot->query;
        }
    }
}

// MARK: sockets

static struct mmsghdr received[batchSize], sending[batchSize];
static struct iovec receivedParts[batchSize], sendingParts[batchSize];
static uint8_t receivedBytes[batchSize][receiveSize], sendingBytes[batchSize][512];

static void receiveUDP(Connection *connection) {
    for (int i = 0; i < batchSize; i++) received[i].msg_hdr.msg_flags = 0;
    int messages = recvmmsg(connection->fd, received, batchSize, MSG_DONTWAIT, NULL);
    uint64_t time = now(CLOCK_MONOTONIC);
    for (int i = 0; i < messages; i++) check(connection, receivedBytes[i], received[i].msg_len, time);
}

static void receiveTCP(Connection *connection) {
    ssize_t length =
        recv(connection->fd, connection->carry + connection->carried, carrySize - connection->carried, MSG_DONTWAIT);
    if (length == 0) { errno = ECONNRESET; fail("the server closed a TCP connection"); }
    if (length < 0) return;
    uint64_t time = now(CLOCK_MONOTONIC);
    size_t start = 0, end = connection->carried + (size_t)length;
    while (end - start >= 2) {
        size_t frame = (size_t)(connection->carry[start] << 8 | connection->carry[start + 1]);
        if (end - start < 2 + frame) break;
        check(connection, connection->carry + start + 2, frame, time);
        start += 2 + frame;
    }
    memmove(connection->carry, connection->carry + start, end - start);
    connection->carried = end - start;
}

// Sends up to `wanted` questions and returns how many.
static int sendUDP(Connection *connection, int wanted, uint64_t time) {
    int messages = 0;
    while (messages < wanted && messages < batchSize) {
        size_t length = arm(connection, sendingBytes[messages], time);
        if (!length) break;
        sendingParts[messages++].iov_len = length;
    }
    for (int done = 0; done < messages;) {
        int sent = sendmmsg(connection->fd, sending + done, (unsigned)(messages - done), 0);
        if (sent > 0) done += sent;
        else if (errno != EAGAIN && errno != EINTR && errno != ECONNREFUSED && errno != ENOBUFS) fail("sendmmsg");
        else if (stopping) break;
    }
    return messages;
}

static int sendTCP(Connection *connection, int wanted, uint64_t time) {
    int messages = 0;
    while (messages < wanted && connection->pendingEnd + 514 <= writeSize) {
        uint8_t *frame = connection->pending + connection->pendingEnd;
        size_t length = arm(connection, frame + 2, time);
        if (!length) break;
        frame[0] = (uint8_t)(length >> 8);
        frame[1] = (uint8_t)length;
        connection->pendingEnd += 2 + length;
        messages++;
    }
    while (connection->pendingStart < connection->pendingEnd) {
        ssize_t sent = send(connection->fd, connection->pending + connection->pendingStart,
                            connection->pendingEnd - connection->pendingStart, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent <= 0) break;
        connection->pendingStart += (size_t)sent;
    }
    if (connection->pendingStart == connection->pendingEnd) connection->pendingStart = connection->pendingEnd = 0;
    return messages;
}

static Connection *openConnections(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)option.port)};
    if (inet_pton(AF_INET, option.host, &address.sin_addr) != 1) { errno = EINVAL; fail(option.host); }
    Connection *connections = calloc((size_t)option.connections, sizeof *connections);
    if (!connections) fail("memory");
    for (int i = 0; i < option.connections; i++) {
        Connection *connection = &connections[i];
        int size = 4 << 20, one = 1;
        connection->fd = socket(AF_INET, option.tcp ? SOCK_STREAM : SOCK_DGRAM, 0);
        if (connection->fd < 0) fail("socket");
        if (!option.tcp) setsockopt(connection->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
        if (connect(connection->fd, (struct sockaddr *)&address, sizeof address)) fail("connect");
        if (option.tcp) {
            setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            connection->carry = malloc(carrySize);
            connection->pending = malloc(writeSize);
            if (!connection->carry || !connection->pending) fail("memory");
        }
        connection->turn = (uint32_t)i * 7;
        for (int place = slotCount; place > 0;) connection->freeSlots[connection->freeCount++] = (uint16_t)--place;
    }
    for (int i = 0; i < batchSize; i++) {
        receivedParts[i] = (struct iovec){receivedBytes[i], receiveSize};
        sendingParts[i].iov_base = sendingBytes[i];
        received[i].msg_hdr.msg_iov = &receivedParts[i];
        sending[i].msg_hdr.msg_iov = &sendingParts[i];
        received[i].msg_hdr.msg_iovlen = sending[i].msg_hdr.msg_iovlen = 1;
    }
    return connections;
}

// MARK: the run

// One turn over all connections. `due`: at a fixed rate, how many questions should have been sent since the start.
static void turn(Connection *connections, uint64_t start, uint64_t *sent) {
    int each = option.window / option.connections > 0 ? option.window / option.connections : 1;
    for (int i = 0; i < option.connections; i++) {
        Connection *connection = &connections[i];
        if (connection->outstanding) (option.tcp ? receiveTCP : receiveUDP)(connection);
        int room = each - (int)connection->outstanding;
        // Small refills would make small batches, whose cost would be the generator's choice and not the server's.
        bool refill = room >= (each < 8 ? 1 : each / 4);
        if (option.rate > 0 || (!refill && connection->pendingEnd == 0)) continue;
        (option.tcp ? sendTCP : sendUDP)(connection, room > 0 ? room : 0, now(CLOCK_MONOTONIC));
    }
    if (option.rate <= 0) return;
    double gap = 1e9 / option.rate;
    uint64_t due = (uint64_t)((double)(now(CLOCK_MONOTONIC) - start) / gap);
    for (; *sent < due; ++*sent) {
        Connection *connection = &connections[*sent % (uint64_t)option.connections];
        uint64_t time = start + (uint64_t)((double)*sent * gap);
        if (!(option.tcp ? sendTCP : sendUDP)(connection, 1, time)) { count.blocked++; break; }
    }
}

static bool finished(const Connection *connections) {
    if (!option.once || asked < queryCount || againCount) return false;
    for (int i = 0; i < option.connections; i++)
        if (connections[i].outstanding) return false;
    return true;
}

static void printThreads(const Thread *before, int beforeCount, const Thread *after, int afterCount) {
    printf("\"threads\":[");
    for (int i = 0; i < afterCount; i++) {
        uint64_t runtime = after[i].runtime;
        for (int j = 0; j < beforeCount; j++)
            if (before[j].pid == after[i].pid && before[j].tid == after[i].tid) runtime -= before[j].runtime;
        printf("%s[\"", i ? "," : "");
        for (const char *c = after[i].name; *c; c++) putchar(*c == '"' || *c == '\\' || *c < ' ' ? '?' : *c);
        printf("\",%llu]", (unsigned long long)runtime);
    }
    printf("],");
}

static void run(void) {
    static Thread before[threadsMax], after[threadsMax];
    Connection *connections = openConnections();
    uint64_t start = now(CLOCK_MONOTONIC), from = start + (uint64_t)(option.warmup * 1e9), scanned = start, sent = 0;
    uint64_t end = from + (uint64_t)(option.seconds * 1e9), begun = start, server = 0, own = 0, time;
    int threadsBefore = 0;
    while ((time = now(CLOCK_MONOTONIC)) < end && !stopping && !finished(connections)) {
        if (!measuring && time >= from) {
            measuring = true;
            memset(&count, 0, sizeof count);
            threadsBefore = threadTimes(before);
            own = now(CLOCK_PROCESS_CPUTIME_ID);
            server = serverTime();
            begun = now(CLOCK_MONOTONIC);
        }
        turn(connections, start, &sent);
        if (time - scanned > 100000000) { scanned = time; dropLost(connections, time); }
    }
    server = serverTime() - server;
    own = now(CLOCK_PROCESS_CPUTIME_ID) - own;
    double seconds = (double)(now(CLOCK_MONOTONIC) - begun) / 1e9;
    int threadsAfter = threadTimes(after);
    // A wrong answer was an answer too: its cost is in the server's time.
    uint64_t answered = count.ok + count.badRcode + count.badCount + count.badQuestion;
    printf("{\"answered\":%llu,\"seconds\":%.4f,\"cpu_ns\":%llu,", (unsigned long long)answered, seconds,
           (unsigned long long)server);
    printThreads(before, threadsBefore, after, threadsAfter);
    printf("\"ok\":%llu,\"bad_rcode\":%llu,\"bad_count\":%llu,\"bad_question\":%llu,\"unknown\":%llu,\"lost\":%llu,",
           (unsigned long long)count.ok, (unsigned long long)count.badRcode, (unsigned long long)count.badCount,
           (unsigned long long)count.badQuestion, (unsigned long long)count.unknown, (unsigned long long)count.lost);
    printf("\"truncated\":%llu,\"answer_records\":%llu,\"octets\":%llu,\"blocked\":%llu,\"complete\":%s,",
           (unsigned long long)count.truncated, (unsigned long long)count.answers, (unsigned long long)count.octets,
           (unsigned long long)count.blocked, finished(connections) ? "true" : "false");
    printf("\"generator_cpu_ns\":%llu,\"p50_us\":%.1f,\"p99_us\":%.1f}\n", (unsigned long long)own, percentile(.5),
           percentile(.99));
}

int main(int argc, char **argv) {
    for (int flag; (flag = getopt(argc, argv, "s:p:q:c:w:r:d:W:P:e:f:toT")) != -1;) switch (flag) {
        case 's': option.host = optarg; break;
        case 'p': option.port = atoi(optarg); break;
        case 'q': option.queries = optarg; break;
        case 'c': option.connections = atoi(optarg); break;
        case 'w': option.window = atoi(optarg); break;
        case 'r': option.rate = atof(optarg); break;
        case 'd': option.seconds = atof(optarg); break;
        case 'W': option.warmup = atof(optarg); break;
        case 'P': option.pids = optarg; break;
        case 'e': option.edns = atoi(optarg); break;
        case 'f': option.first = (uint32_t)strtoul(optarg, NULL, 10); break;
        case 't': option.tcp = true; break;
        case 'o': option.once = true; option.warmup = 0; break;
        case 'T': option.truncationAllowed = true; break;
        default: return 2;
    }
    if (!option.queries || option.port < 1 || option.connections < 1 || optind != argc) {
        fprintf(stderr, "usage: dnsload -p PORT -q FILE [-s ADDRESS] [-P PID,...] [-d SECONDS] [-W WARMUP]\n"
                        "  [-e EDNS-SIZE] [-c SOCKETS] [-w OUTSTANDING] [-r RATE] [-f FIRST]\n"
                        "  [-t (TCP)] [-o (each once)] [-T (truncated is fine)]\n");
        return 2;
    }
    signal(SIGTERM, stop);
    signal(SIGINT, stop);
    readQueries();
    run();
    return 0;
}
