package pcapng

import (
	"net/netip"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// decoder finds the TCP segment in a packet.
type decoder struct {
	ethernet layers.Ethernet
	vlan     layers.Dot1Q
	sll      layers.LinuxSLL
	sll2     layers.LinuxSLL2
	loopback layers.Loopback
	ip4      layers.IPv4
	ip6      layers.IPv6
	ip6More  layers.IPv6ExtensionSkipper
	tcp      layers.TCP
	layers   []gopacket.LayerType
	parsers  map[gopacket.LayerType]*gopacket.DecodingLayerParser
}

// captured is a segment as it was captured.
type captured struct {
	segment
	missing int // bytes of payload that were cut off
}

func newDecoder() *decoder {
	d := &decoder{parsers: map[gopacket.LayerType]*gopacket.DecodingLayerParser{}}
	for _, first := range []gopacket.LayerType{
		layers.LayerTypeEthernet, layers.LayerTypeLinuxSLL, layers.LayerTypeLinuxSLL2, layers.LayerTypeLoopback,
		layers.LayerTypeIPv4, layers.LayerTypeIPv6,
	} {
		p := gopacket.NewDecodingLayerParser(first, &d.ethernet, &d.vlan, &d.sll, &d.sll2, &d.loopback, &d.ip4, &d.ip6, &d.ip6More, &d.tcp)
		p.IgnoreUnsupported = true
		d.parsers[first] = p
	}
	return d
}

// The types of links (https://www.tcpdump.org/linktypes.html), and the layer that each begins with; others hold no TCP
// that is looked for. 12 and 14 are what some systems call 101.
var linkLayers = map[uint32]gopacket.LayerType{
	0: layers.LayerTypeLoopback, 108: layers.LayerTypeLoopback, 1: layers.LayerTypeEthernet,
	113: layers.LayerTypeLinuxSLL, 276: layers.LayerTypeLinuxSLL2, 228: layers.LayerTypeIPv4, 229: layers.LayerTypeIPv6,
}

func isRaw(linkType uint32) bool { return linkType == linkTypeRaw || linkType == 12 || linkType == 14 }

// kind is what a packet turned out to be.
type kind uint8

const (
	isTCP      kind = iota
	isOther         // no TCP in IP
	isFragment      // of an IP packet
	isDamaged       // cut in the headers, or no packet at all
)

// decode finds the segment in p and returns what p is. The payload is that of p.
func (d *decoder) decode(p *packet, s *captured) kind {
	first, known := linkLayers[p.linkType]
	if isRaw(p.linkType) && len(p.data) > 0 {
		first, known = layers.LayerTypeIPv4, true
		if p.data[0]>>4 == 6 {
			first = layers.LayerTypeIPv6
		}
	}
	if !known {
		return isOther
	}
	err := d.parsers[first].DecodeLayers(p.data, &d.layers)
	var ip gopacket.LayerType
	for _, l := range d.layers {
		switch l {
		case layers.LayerTypeIPv4, layers.LayerTypeIPv6:
			ip = l
		case layers.LayerTypeIPv6Fragment:
			return isFragment
		case layers.LayerTypeTCP:
			return d.segment(ip, s)
		}
	}
	switch {
	case ip == layers.LayerTypeIPv4 && isFragment4(&d.ip4):
		return isFragment
	case err != nil:
		return isDamaged
	}
	return isOther
}

func isFragment4(ip *layers.IPv4) bool {
	return ip.FragOffset > 0 || ip.Flags&layers.IPv4MoreFragments != 0
}

func (d *decoder) segment(ip gopacket.LayerType, s *captured) kind {
	var from, to netip.Addr
	var length, there int // of the IP payload
	if ip == layers.LayerTypeIPv4 {
		if isFragment4(&d.ip4) {
			return isFragment
		}
		from, _ = netip.AddrFromSlice(d.ip4.SrcIP)
		to, _ = netip.AddrFromSlice(d.ip4.DstIP)
		length, there = int(d.ip4.Length)-4*int(d.ip4.IHL), len(d.ip4.Payload)
	} else {
		from, _ = netip.AddrFromSlice(d.ip6.SrcIP)
		to, _ = netip.AddrFromSlice(d.ip6.DstIP)
		length, there = int(d.ip6.Length), len(d.ip6.Payload)
	}
	t := &d.tcp
	s.segment = segment{
		from: netip.AddrPortFrom(from, uint16(t.SrcPort)), to: netip.AddrPortFrom(to, uint16(t.DstPort)),
		seq: t.Seq, ack: t.Ack, payload: t.Payload,
	}
	for _, f := range []struct {
		set  bool
		flag uint8
	}{{t.FIN, flagFIN}, {t.SYN, flagSYN}, {t.RST, flagRST}, {t.ACK, flagACK}} {
		if f.set {
			s.flags |= f.flag
		}
	}
	s.missing = max(0, length-there) // 0 as well if a length of 0 stands for one that an adapter would have set
	return isTCP
}
