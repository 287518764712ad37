// Style and script of the page. The script only picks a policy out and reads values under the
// pointer; without it every figure is there, for all policies.
#pragma once

namespace perigee::sim {

inline constexpr const char* kPageStyle = R"css(
:root{color-scheme:light dark;--bg:#fff;--fg:#15202b;--soft:#52606d;--line:#d5dbe1;--card:#f6f8fa;
--band:#c2410c;--flow:#0b57d0;--c0:#0b57d0;--c1:#c2410c;--c2:#15803d;--c3:#9333ea;--c4:#0e7490;
--c5:#be123c;--c6:#854d0e;--c7:#475569;--u0:#e3e8ee;--u1:#b9d4f5;--u2:#7db0ea;--u3:#3a7bd0;
--u4:#174a94}
@media (prefers-color-scheme:dark){:root{--bg:#11161c;--fg:#e8edf2;--soft:#a6b2be;--line:#33404c;
--card:#1a2129;--band:#ff9d5c;--flow:#7cb0ff;--c0:#7cb0ff;--c1:#ff9d5c;--c2:#6ee7a0;--c3:#d8a4ff;
--c4:#5fd4e8;--c5:#ff8fa3;--c6:#e0b354;--c7:#b4c0d0;--u0:#2a343f;--u1:#274b75;--u2:#3f82cc;
--u3:#7cb0ff;--u4:#cfe1ff}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,sans-serif}
main,header,footer{max-width:1360px;margin:0 auto;padding:0 24px}
header{padding-top:28px}
h1{font-size:26px;line-height:1.25;margin:0 0 4px}
h2{font-size:19px;margin:40px 0 4px;padding-top:12px;border-top:1px solid var(--line)}
h2+p,.lead{color:var(--soft);margin:0 0 12px;max-width:80ch}
.headline{font-size:18px;max-width:75ch;margin:14px 0}
dl{display:flex;flex-wrap:wrap;gap:4px 24px;margin:8px 0;color:var(--soft)}
dl div{display:flex;gap:6px}dt::after{content:":"}dd{margin:0;color:var(--fg)}
code{font-family:ui-monospace,monospace;font-size:.93em}
.tiles{list-style:none;display:grid;grid-template-columns:repeat(auto-fit,minmax(165px,1fr));
gap:12px;padding:0;margin:18px 0}
.tiles li{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:12px 14px}
.tiles b,.tiles span,.tiles small{display:block}.tiles b{font-size:22px}
.tiles small{color:var(--soft)}
nav{position:sticky;top:0;background:var(--bg);border-bottom:1px solid var(--line);z-index:2;
padding:8px 0;display:flex;flex-wrap:wrap;gap:6px;align-items:center}
nav button{font:inherit;font-size:13px;color:var(--fg);background:var(--card);cursor:pointer;
border:1px solid var(--line);border-radius:14px;padding:2px 10px;display:flex;gap:6px;
align-items:center}
nav button[aria-pressed=true]{border-color:var(--fg);font-weight:600}
nav button:focus-visible{outline:2px solid var(--c0)}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,520px),1fr));gap:8px 32px}
figure{margin:16px 0;min-width:0;position:relative}
figcaption b,figcaption span{display:block}figcaption b{font-size:15.5px}
figcaption span{color:var(--soft);font-size:13px;max-width:90ch}
.pair figcaption span{min-height:3em}
.ytitle{font-size:12px;color:var(--soft);margin:6px 0 0 4px}
.empty{color:var(--soft)}
svg.chart,svg.map{width:100%;height:auto;display:block}
svg.map{background:var(--card);border:1px solid var(--line);border-radius:8px;margin-top:8px}
svg text{fill:var(--fg);font-size:12px}svg .tick{fill:var(--soft);font-size:11px}
.end{text-anchor:end}.mid{text-anchor:middle}svg .label{fill:var(--soft)}
.grid{stroke:var(--line);stroke-width:1;fill:none}.axis{stroke:var(--soft);fill:none}
.series polyline,.series path{fill:none;stroke:var(--c);stroke-width:2;stroke-linejoin:round}
.series circle,.series .tip,.bar rect{fill:var(--c);stroke:none}
.d1 polyline,.d1 path{stroke-dasharray:7 3}.d2 polyline,.d2 path{stroke-dasharray:2 3}
.d1 rect,.d2 rect{fill-opacity:.55}
.c0{--c:var(--c0)}.c1{--c:var(--c1)}.c2{--c:var(--c2)}.c3{--c:var(--c3)}.c4{--c:var(--c4)}
.c5{--c:var(--c5)}.c6{--c:var(--c6)}.c7{--c:var(--c7)}
.band{fill:var(--band);fill-opacity:.16}
.flow{fill:none;stroke:var(--flow);stroke-opacity:.45;stroke-linecap:round}
.flow:hover{stroke-opacity:1}
.site{stroke:var(--fg);stroke-width:1}.u0{fill:var(--u0)}.u1{fill:var(--u1)}.u2{fill:var(--u2)}
.u3{fill:var(--u3)}.u4{fill:var(--u4)}.u5{fill:none;stroke:var(--soft)}
svg .place{paint-order:stroke;stroke:var(--card);stroke-width:3px}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:2px 14px;padding:0;margin:4px 0 0;
font-size:12.5px}.legend li{display:flex;gap:5px;align-items:center}
.faults{margin:4px 0;color:var(--soft)}
.wide{overflow-x:auto;margin-top:8px}
table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums;width:100%}
th,td{text-align:right;padding:5px 8px;border-bottom:1px solid var(--line);white-space:nowrap}
thead th{color:var(--soft);font-weight:600;white-space:normal;vertical-align:bottom}
tr>:first-child,.named>:nth-child(2){text-align:left}tbody th{font-weight:600}
.named>:nth-child(2){font-weight:600}
.about td{text-align:left;white-space:normal}
.on-page tr.on>*{background:var(--card)}
.many .series[data-s],.many .bar[data-s]{opacity:.32}
.many .series.on,.many .bar.on{opacity:1}
.on-page polyline{pointer-events:none}
.series.on polyline{stroke-width:3}
.view{display:block}.on-page .view{display:none}.on-page .view.on{display:block}
.cross{stroke:var(--soft);stroke-dasharray:3 3}
.tip-box{position:absolute;pointer-events:none;background:var(--bg);border:1px solid var(--soft);
border-radius:6px;padding:5px 8px;font-size:12px;white-space:nowrap;z-index:3}
footer{color:var(--soft);padding-top:24px;padding-bottom:40px;font-size:13px}
@media print{:root{color-scheme:light}nav{display:none}body{font-size:11px}main,header,footer{
max-width:none;padding:0}figure,.tiles li{break-inside:avoid}h2{break-after:avoid}
table{font-size:8px}th,td{padding:2px 3px}.pair{grid-template-columns:1fr 1fr}
.many .series[data-s],.many .bar[data-s]{opacity:1}}
)css";

inline constexpr const char* kPageScript = R"js(
(function(){
var d=document,b=d.body,all=function(s,r){return Array.from((r||d).querySelectorAll(s))};
b.classList.add('on-page');
var buttons=all('nav button');
if(buttons.length>5)b.classList.add('many');
function pick(s){
all('[data-s]').forEach(function(e){e.classList.toggle('on',e.dataset.s===s)});
buttons.forEach(function(e){e.setAttribute('aria-pressed',e.dataset.s===s)});}
buttons.forEach(function(e){e.addEventListener('click',function(){pick(e.dataset.s)})});
if(buttons.length)pick(b.dataset.first);
function scale(t){var p=t.split(' ');return{log:p[0]==='log',lo:+p[1],hi:+p[2],a:+p[3],z:+p[4],
unit:p[5]||'',value:function(x){var f=(x-this.a)/(this.z-this.a);
return this.log?this.lo*Math.pow(this.hi/this.lo,f):this.lo+f*(this.hi-this.lo)}}}
function show(v,u){if(u==='%')return(v*100).toFixed(1)+' %';
if(u==='ms'&&Math.abs(v)>=1000){v/=1000;u='s'}
var t=Math.abs(v)>=100?v.toFixed(0):Math.abs(v)>=10?v.toFixed(1):v.toPrecision(3);
return t+(u==='/s'?u:u?' '+u:'')}
all('svg.chart[data-x]').forEach(function(svg){
var x=scale(svg.dataset.x),y=scale(svg.dataset.y),box=null,cross=null;
var lines=all('g.series',svg).map(function(g){return{name:g.dataset.name,s:+g.dataset.s,
points:g.querySelector('polyline').getAttribute('points').split(' ').map(function(p){
return p.split(',').map(Number)})}}).sort(function(p,q){return p.s-q.s});
function leave(){if(box){box.remove();cross.remove();box=cross=null}}
svg.addEventListener('pointerleave',leave);
svg.addEventListener('pointermove',function(e){
var r=svg.getBoundingClientRect(),k=svg.viewBox.baseVal.width/r.width,px=(e.clientX-r.left)*k;
if(px<x.a||px>x.z){leave();return}
if(!box){box=d.createElement('div');box.className='tip-box';svg.parentNode.appendChild(box);
cross=d.createElementNS('http://www.w3.org/2000/svg','path');cross.setAttribute('class','cross');
svg.appendChild(cross)}
cross.setAttribute('d','M'+px+' '+y.z+'V'+y.a);
box.textContent=show(x.value(px),x.unit);
lines.forEach(function(l){var best=l.points[0];
l.points.forEach(function(p){if(Math.abs(p[0]-px)<Math.abs(best[0]-px))best=p});
var row=d.createElement('div');row.textContent=l.name+': '+show(y.value(best[1]),y.unit);
box.appendChild(row)});
var f=svg.parentNode.getBoundingClientRect(),left=e.clientX-f.left+14;
if(left+box.offsetWidth>f.width)left=Math.max(0,e.clientX-f.left-14-box.offsetWidth);
box.style.left=left+'px';box.style.top=(e.clientY-f.top+14)+'px'});
});
})();
)js";

}  // namespace perigee::sim
