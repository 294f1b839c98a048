"""What a snapshot stream can do wrong, and what looks odd but is right. For fakes.FaultServer.

Each is a handler of Maintenance/Snapshot. FAULTS: name -> (handler, exit codes that fit, text that
the message must hold). ODDITIES: handlers whose snapshot is good and must be taken.
"""
from fakes import digest, field, message, snapshot_message

UNVERIFIED, UNAVAILABLE = 65, 69
EITHER = (UNVERIFIED, UNAVAILABLE)


# --- wrong content, well-formed stream ------------------------------------------------------------
def cut_before_the_digest(stream):
    stream.headers()
    stream.server.send_pieces(stream)  # remaining_bytes reaches 0
    stream.trailers()


def wrong_digest(stream):
    stream.headers()
    stream.server.send_pieces(stream)
    stream.data(snapshot_message(digest(b"something else"), 0))
    stream.trailers()


def half_a_digest(stream):
    stream.headers()
    stream.server.send_pieces(stream)
    stream.data(snapshot_message(digest(stream.server.database)[:16], 0))
    stream.trailers()


def size_not_of_pages(stream):
    data = stream.server.database + b"seven b"
    stream.headers()
    stream.data(snapshot_message(data, 0))
    stream.data(snapshot_message(digest(data), 0))
    stream.trailers()


def one_bit_flipped(stream):
    data = bytearray(stream.server.database)
    data[len(data) // 2] ^= 1
    stream.headers()
    stream.data(snapshot_message(bytes(data), 0))
    stream.data(snapshot_message(digest(stream.server.database), 0))
    stream.trailers()


def a_message_missing(stream):
    data = stream.server.database
    stream.headers()
    stream.data(snapshot_message(data[:4096], len(data) - 4096))
    stream.data(snapshot_message(data[8192:], 0))
    stream.data(snapshot_message(digest(data), 0))
    stream.trailers()


def bytes_after_the_digest(stream):
    stream.headers()
    stream.server.send_pieces(stream)
    stream.data(snapshot_message(digest(stream.server.database), 0))
    stream.data(snapshot_message(b"\0" * 512, 0))
    stream.trailers()


def nothing_at_all(stream):
    stream.headers()
    stream.trailers()


def digest_of_nothing(stream):
    stream.headers()
    stream.data(snapshot_message(digest(b""), 0))
    stream.trailers()


# --- gRPC says no ---------------------------------------------------------------------------------
def grpc_error(stream):
    stream.headers()
    stream.server.send_pieces(stream, until=16384)
    stream.trailers("14", "etcdserver: no leader")


def grpc_error_encoded(stream):
    stream.headers()
    stream.trailers("13", "Schl%C3%BCssel fehlt%3A 100%25%0Azweite Zeile")


def grpc_error_in_raw_utf8(stream):
    stream.headers()
    stream.trailers("13", "Schlüssel fehlt %zz %")


def error_after_a_good_digest(stream):
    stream.headers()
    stream.server.send_pieces(stream)
    stream.data(snapshot_message(digest(stream.server.database), 0))
    stream.trailers("15", "data loss")


def trailers_only(stream):
    stream.headers([("grpc-status", "7"), ("grpc-message", "etcdserver: permission denied")], end=True)


def no_grpc_status(stream):
    stream.headers()
    stream.server.send_pieces(stream)
    stream.data(snapshot_message(digest(stream.server.database), 0), end=True)


def grpc_status_is_no_number(stream):
    stream.headers()
    stream.server.send_pieces(stream)
    stream.data(snapshot_message(digest(stream.server.database), 0))
    stream.trailers("fine")


# --- the connection fails ---------------------------------------------------------------------------
def stalls_in_the_middle(stream):
    stream.headers()
    stream.server.send_pieces(stream, until=16384)
    stream.stall()


def stalls_before_headers(stream):
    stream.stall()


def stalls_before_trailers(stream):
    stream.headers()
    stream.server.send_pieces(stream)
    stream.data(snapshot_message(digest(stream.server.database), 0))
    stream.stall()


def reset_in_the_middle(stream):
    stream.headers()
    stream.server.send_pieces(stream, until=16384)
    stream.reset()


def closed_in_the_middle(stream):
    stream.headers()
    stream.server.send_pieces(stream, until=16384)
    stream.hang_up()


def closed_before_trailers(stream):
    stream.headers()
    stream.server.send_pieces(stream)
    stream.data(snapshot_message(digest(stream.server.database), 0))
    stream.hang_up()


def goodbye_in_the_middle(stream):
    """GOAWAY, and the stream goes on to its good end, which is legal (RFC 9113, 6.8). Some libcurl 7.88
    lose bytes and trailers then without an error: the snapshot may fail, but not be taken as it is."""
    stream.headers()
    stream.server.send_pieces(stream, until=16384, piece_bytes=16384)
    stream.ping()
    stream.goodbye()
    rest = stream.server.database[16384:]
    stream.data(snapshot_message(rest, 0))
    stream.data(snapshot_message(digest(stream.server.database), 0))
    stream.trailers()


# --- not gRPC, or broken gRPC -----------------------------------------------------------------------
def http_404(stream):
    stream.headers(status="404", content_type="text/plain")
    stream.data(b"404 page not found\n", end=True)


def http_503(stream):
    stream.headers(status="503", content_type="text/html")
    stream.data(b"<h1>upstream away</h1>", end=True)


def http_200_of_a_web_server(stream):
    stream.headers(content_type="text/html")
    stream.data(b"<!doctype html><title>Welcome</title>" * 40, end=True)


def garbage_for_protobuf(stream):
    stream.headers()
    stream.data(message(b"\xff" * 64))
    stream.trailers()


def blob_longer_than_its_message(stream):
    stream.headers()
    stream.data(message(b"\x1a\xff\xff\x03short"))
    stream.trailers()


def huge_length(stream):
    stream.headers()
    stream.data(message(b"x" * 4096, length=0xFFFFFFFF))
    stream.stall()


def compressed_flag(stream):
    stream.headers()
    stream.data(message(b"\x1f\x8b" + b"z" * 64, compressed=1))
    stream.trailers()


def message_cut_off(stream):
    stream.headers()
    stream.server.send_pieces(stream)
    stream.data(message(field(3, digest(stream.server.database)))[:-5])
    stream.trailers()


FAULTS = {handler.__name__: (handler, codes, text) for handler, codes, text in [
    (cut_before_the_digest, (UNVERIFIED,), ""),
    (wrong_digest, (UNVERIFIED,), digest(b"something else").hex()[:8]),
    (half_a_digest, (UNVERIFIED,), ""),
    (size_not_of_pages, (UNVERIFIED,), "512"),
    (one_bit_flipped, (UNVERIFIED,), ""),
    (a_message_missing, EITHER, ""),
    (bytes_after_the_digest, (UNVERIFIED,), ""),
    (nothing_at_all, EITHER, ""),
    (digest_of_nothing, EITHER, ""),
    (grpc_error, (UNAVAILABLE,), "etcdserver: no leader"),
    (grpc_error_encoded, (UNAVAILABLE,), "Schlüssel fehlt: 100%\nzweite Zeile"),
    (grpc_error_in_raw_utf8, (UNAVAILABLE,), "Schlüssel fehlt %zz %"),
    (error_after_a_good_digest, EITHER, "data loss"),
    (trailers_only, (UNAVAILABLE,), "etcdserver: permission denied"),
    (no_grpc_status, EITHER, "grpc-status"),
    (grpc_status_is_no_number, EITHER, "grpc-status"),
    (stalls_in_the_middle, (UNAVAILABLE,), ""),
    (stalls_before_headers, (UNAVAILABLE,), ""),
    (stalls_before_trailers, (UNAVAILABLE,), ""),
    (reset_in_the_middle, (UNAVAILABLE,), ""),
    (closed_in_the_middle, (UNAVAILABLE,), ""),
    (closed_before_trailers, EITHER, ""),
    (http_404, (UNAVAILABLE,), "404"),
    (http_503, (UNAVAILABLE,), "503"),
    (http_200_of_a_web_server, (UNAVAILABLE,), "text/html"),
    (garbage_for_protobuf, EITHER, ""),
    (blob_longer_than_its_message, EITHER, ""),
    (huge_length, EITHER, ""),
    (compressed_flag, EITHER, "compress"),
    (message_cut_off, EITHER, ""),
]}


# --- odd, but good -------------------------------------------------------------------------------
def in_tiny_frames(stream):
    stream.headers()
    data = stream.server.database
    whole = snapshot_message(data, 0) + snapshot_message(digest(data), 0)
    for start in range(0, len(whole), 7):
        stream.data(whole[start:start + 7])
    stream.trailers()


def many_messages_in_one_frame(stream):
    data = stream.server.database
    stream.headers()
    stream.data(b"".join(snapshot_message(data[start:start + 512], len(data) - start - 512)
                         for start in range(0, len(data), 512)) + snapshot_message(digest(data), 0))
    stream.trailers()


def with_a_version_field(stream):
    stream.headers()
    stream.server.send_pieces(stream, version="3.6.0")
    stream.data(snapshot_message(digest(stream.server.database), 0, "3.6.0"))
    stream.trailers()


def no_remaining_bytes_on_the_last(stream):
    stream.headers()
    stream.server.send_pieces(stream)
    stream.data(snapshot_message(digest(stream.server.database)))
    stream.trailers()


def unknown_fields_and_empty_messages(stream):
    stream.headers()
    stream.data(message(b""))
    data = stream.server.database
    for start in range(0, len(data), 4096):
        left = max(len(data) - start - 4096, 0)
        stream.data(message(field(9, "later") + field(2, left) + field(3, data[start:start + 4096]) + field(12, 77)
                            + b"\x69" + b"12345678" + b"\x75" + b"1234"))  # 64-bit and 32-bit fields
        stream.data(message(b""))
    stream.data(snapshot_message(digest(data), 0))
    stream.trailers()


def digest_with_the_last_piece(stream):
    data = stream.server.database
    stream.headers()
    stream.data(snapshot_message(data + digest(data), 0))
    stream.trailers()


def digest_in_two_messages(stream):
    checksum = digest(stream.server.database)
    stream.headers()
    stream.server.send_pieces(stream)
    stream.data(snapshot_message(checksum[:5], 0))
    stream.data(snapshot_message(checksum[5:], 0))
    stream.trailers()


def content_type_with_a_suffix(stream):
    stream.headers(content_type="application/grpc+proto")
    stream.server.send_pieces(stream)
    stream.data(snapshot_message(digest(stream.server.database), 0))
    stream.trailers("0", "")


ODDITIES = {handler.__name__: handler for handler in [
    in_tiny_frames, many_messages_in_one_frame, with_a_version_field, no_remaining_bytes_on_the_last,
    unknown_fields_and_empty_messages, digest_with_the_last_piece, digest_in_two_messages,
    content_type_with_a_suffix]}
