#!/usr/bin/perl
# Prints agent/systemd/unicode_print_table.inc: the ranges of code points that Go's strconv.IsPrint
# takes as printable: categories L, M, N, P, S and the ASCII space. Go's tables follow the Unicode
# version of its release; the container of RKE was built with one that knew 13.0, so code points that
# came later count as unassigned here as well.
#   tests/tools/unicode_print_table.pl > agent/systemd/unicode_print_table.inc
use strict;
use warnings;
no warnings 'utf8';

my @ranges;
for my $code (0x20 .. 0x10FFFF) {
    next if $code >= 0xD800 && $code <= 0xDFFF;    # surrogates are no characters
    my $char = chr $code;
    next unless $code == 0x20 || $char =~ /^[\p{L}\p{M}\p{N}\p{P}\p{S}]$/;
    next unless $char =~ /^\p{Present_In=13.0}$/;
    if (@ranges && $ranges[-1][1] == $code - 1) { $ranges[-1][1] = $code }
    else { push @ranges, [$code, $code] }
}

print "// Made by tests/tools/unicode_print_table.pl from Unicode 13.0; do not edit.\n";
print "// clang-format off\n";
my $line = '';
for my $range (@ranges) {
    my $item = sprintf '{0x%X, 0x%X},', @$range;
    if (length($line) + length($item) + 1 > 98) { print "$line\n"; $line = '' }
    $line .= ($line eq '' ? '' : ' ') . $item;
}
print "$line\n// clang-format on\n";
